# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# cmake -D SOURCE=folder -D OUT=header -P commit.cmake: writes the commit that is built to a header.
# Runs at every build; the header changes only when the commit changes.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty=-changed --abbrev=12
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#define KNELL_BENCH_COMMIT \"${commit}\"\n")
