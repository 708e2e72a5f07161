# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# Tests that run the checks in tools/ on the source tree and the build. Of the programs they run only
# --help.
add_test(NAME layers COMMAND ${PROJECT_SOURCE_DIR}/tools/check-layers ${PROJECT_SOURCE_DIR})
add_test(NAME headers COMMAND ${PROJECT_SOURCE_DIR}/tools/check-headers)
add_test(NAME symbols COMMAND ${PROJECT_SOURCE_DIR}/tools/check-symbols ${PROJECT_BINARY_DIR})
add_test(NAME docs COMMAND ${PROJECT_SOURCE_DIR}/tools/check-docs ${PROJECT_SOURCE_DIR}
                           ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
set_tests_properties(layers headers symbols docs PROPERTIES LABELS tree)
set_tests_properties(headers PROPERTIES
  TIMEOUT 900 ENVIRONMENT "CC=${CMAKE_C_COMPILER};CXX=${CMAKE_CXX_COMPILER}")
