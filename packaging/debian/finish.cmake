# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# Run by CPack when the files of all components are installed below its temporary folder.
execute_process(COMMAND ${CMAKE_CURRENT_LIST_DIR}/finish ${CPACK_TEMPORARY_DIRECTORY}
  ${CPACK_PACKAGE_VERSION} ${CPACK_DEBIAN_PACKAGE_RELEASE}
  ${CPACK_DEBIAN_PACKAGE_MAINTAINER} COMMAND_ERROR_IS_FATAL ANY)
