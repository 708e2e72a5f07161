# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# The Debian packages, one for each component of KnellInstall.cmake. tools/make-deb builds them: it
# configures with the prefix /usr, and sets SOURCE_DATE_EPOCH.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME knell)
set(CPACK_PACKAGE_VENDOR "The knell authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # each component has one
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_SET_DESTDIR ON)  # files that have their prefix in them are written at installation
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_OUTPUT_FILE_PREFIX ${CMAKE_BINARY_DIR}/packages)
set(CPACK_COMPONENTS_ALL programs library development)
if(KNELL_COMPAT)
  list(APPEND CPACK_COMPONENTS_ALL compat)
endif()
if(TARGET knell-export)
  list(APPEND CPACK_COMPONENTS_ALL export)
endif()
if(TARGET knell-fleet)
  list(APPEND CPACK_COMPONENTS_ALL fleet)
endif()
if(TARGET knell_python)
  list(APPEND CPACK_COMPONENTS_ALL python)
endif()

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(KNELL_MAINTAINER "The knell authors <knell@localhost>" CACHE STRING
    "The maintainer of the Debian packages: set it to yourself to distribute them")
set(CPACK_DEBIAN_PACKAGE_MAINTAINER ${KNELL_MAINTAINER})
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# Where dpkg-shlibdeps finds libknell for the others.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_LIBRARY_OUTPUT_DIRECTORY})
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/packaging/debian/finish.cmake)

set(version ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})
set(scripts ${PROJECT_SOURCE_DIR}/packaging/debian)
# For packages with libraries. CPack would add scripts that call ldconfig, where Debian's policy asks for
# a trigger. CPack adds no scripts if files with these names are listed, and skips files that do not
# exist.
set(trigger "${scripts}/triggers;${scripts}/none/postinst;${scripts}/none/postrm")

set(CPACK_COMPONENT_PROGRAMS_DESCRIPTION "filtered process events: the command and the daemon
knell reports when processes fork, exec, change and exit: who died, with what
status, and who killed it, filtered as requested. The daemon knelld reads the
events of the kernel once, and sends each of any number of listeners those it
asked for; users without privileges get the events of their own processes.")
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_NAME knell)
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_DEPENDS
  "libknell1 (= ${version}), systemd | systemd-standalone-sysusers")
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_SUGGESTS "knell-compat, knell-export, knell-fleet, python3-knell")
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_CONTROL_EXTRA
  "${scripts}/knell/postinst;${scripts}/knell/prerm;${scripts}/knell/postrm")

set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "filtered process events: the library
libknell reports when processes fork, exec, change and exit, filtered as
requested: by itself where the kernel allows it, or through the daemon knelld.")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libknell1)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
get_target_property(SOVERSION libknell SOVERSION)
configure_file(${scripts}/shlibs.in ${CMAKE_BINARY_DIR}/package/shlibs @ONLY)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA "${trigger};${CMAKE_BINARY_DIR}/package/shlibs")

set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "filtered process events: development files
The headers for C and C++, the static library, the files for pkg-config and
CMake, and the manual page of libknell.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libknell-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libknell1 (= ${version})")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS "libbpf-dev, libelf-dev, zlib1g-dev")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SHLIBDEPS OFF)

set(CPACK_COMPONENT_COMPAT_DESCRIPTION "filtered process events: for unmodified clients
A library that is preloaded into clients of the kernel's process events
connector, which then receive their events from knelld, in containers and
without privileges too. knell compat runs a program with it.")
set(CPACK_DEBIAN_COMPAT_PACKAGE_NAME knell-compat)
set(CPACK_DEBIAN_COMPAT_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_COMPAT_PACKAGE_DEPENDS "knell (= ${version})")
set(CPACK_DEBIAN_COMPAT_PACKAGE_CONTROL_EXTRA "${trigger}")

set(CPACK_COMPONENT_EXPORT_DESCRIPTION "filtered process events: exports
knell export sends the events of knelld to other systems: counts of how
processes ended to Prometheus, with alerts and a dashboard for Grafana; logs to
an OpenTelemetry collector; structured entries to the systemd journal.")
set(CPACK_DEBIAN_EXPORT_PACKAGE_NAME knell-export)
set(CPACK_DEBIAN_EXPORT_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_EXPORT_PACKAGE_DEPENDS "knell (= ${version}), libknell1 (= ${version})")
set(CPACK_DEBIAN_EXPORT_PACKAGE_SUGGESTS "prometheus")
set(CPACK_DEBIAN_EXPORT_PACKAGE_CONTROL_EXTRA
  "${scripts}/knell-export/postinst;${scripts}/knell-export/prerm;${scripts}/knell-export/postrm")

set(CPACK_COMPONENT_FLEET_DESCRIPTION "filtered process events: of many hosts
knell fleet shows the events of many hosts in one place. Each host sends those
that a reader asks for to a NATS server with JetStream, filtered in its kernel;
past events are read from its journal.")
set(CPACK_DEBIAN_FLEET_PACKAGE_NAME knell-fleet)
set(CPACK_DEBIAN_FLEET_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_FLEET_PACKAGE_DEPENDS "knell (= ${version}), libknell1 (= ${version})")
set(CPACK_DEBIAN_FLEET_PACKAGE_SUGGESTS "nats-server")
set(CPACK_DEBIAN_FLEET_PACKAGE_CONTROL_EXTRA
  "${scripts}/knell-fleet/postinst;${scripts}/knell-fleet/prerm;${scripts}/knell-fleet/postrm")

set(CPACK_COMPONENT_PYTHON_DESCRIPTION "filtered process events: the package for Python 3
libknell for Python: listeners that are iterated with for and async for,
waiting for processes that are not children, reports of knell run as objects.")
set(CPACK_DEBIAN_PYTHON_PACKAGE_NAME python3-knell)
set(CPACK_DEBIAN_PYTHON_PACKAGE_SECTION python)
set(CPACK_DEBIAN_PYTHON_PACKAGE_DEPENDS
  "libknell1 (= ${version}), python3 (>= 3.8), python3-cffi-backend")
set(CPACK_DEBIAN_PYTHON_PACKAGE_SUGGESTS "knell")
set(CPACK_DEBIAN_PYTHON_PACKAGE_CONTROL_EXTRA
  "${scripts}/python3-knell/postinst;${scripts}/python3-knell/prerm")

include(CPack)
