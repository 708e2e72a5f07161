# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# What tools/ can say about the tree without running anything of it.
add_test(NAME layers COMMAND ${PROJECT_SOURCE_DIR}/tools/check-layers ${PROJECT_SOURCE_DIR})
add_test(NAME headers COMMAND ${PROJECT_SOURCE_DIR}/tools/check-headers)
set_tests_properties(layers headers PROPERTIES LABELS tree)
set_tests_properties(headers PROPERTIES
  TIMEOUT 300 ENVIRONMENT "CC=${CMAKE_C_COMPILER};CXX=${CMAKE_CXX_COMPILER}")
