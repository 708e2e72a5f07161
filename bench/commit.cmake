# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# cmake -D SOURCE=folder -D OUT=header -P commit.cmake: the commit that is built, for reports. Run
# at every build; the header changes only when the commit does. A tree that differs from its commit
# says so, and one that is not in git is "unknown".
find_package(Git QUIET)
set(commit "unknown")
if(GIT_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${SOURCE} describe --always --dirty=-changed --abbrev=12
                  OUTPUT_VARIABLE said OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET
                  RESULT_VARIABLE status)
  if(status EQUAL 0)
    set(commit "${said}")
  endif()
endif()
set(text "#define KNELL_BENCH_COMMIT \"${commit}\"\n")
set(old "")
if(EXISTS ${OUT})
  file(READ ${OUT} old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${OUT} "${text}")
endif()
