# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# Installs the headers, the library with its pkg-config file and CMake package, the programs, the
# files of systemd, the man pages and the completions. The components are the Debian packages: see
# KnellPackages.cmake.
include(CMakePackageConfigHelpers)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/knell DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        COMPONENT development
        FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")

set(programs knell knelld libknell)
install(TARGETS knell COMPONENT programs)
if(KNELL_COMPAT)
  list(APPEND programs libknell-compat)
  install(TARGETS libknell-compat COMPONENT compat)
endif()
install(TARGETS knelld RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR} COMPONENT programs)
# systemd finds these files below /usr and /usr/local. knelld needs no configuration file, so
# knelld.toml, which lists the defaults, is installed as an example.
install(FILES ${PROJECT_SOURCE_DIR}/packaging/systemd/knelld.socket
        DESTINATION lib/systemd/system COMPONENT programs)
if(KNELL_FLEET)
  list(APPEND programs knell-fleet)
  install(TARGETS knell-fleet COMPONENT fleet)
  install(CODE "
    set(KNELL_FLEET \${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/knell-fleet)
    configure_file(${PROJECT_SOURCE_DIR}/packaging/systemd/knell-fleet.service.in
                   ${CMAKE_BINARY_DIR}/package/knell-fleet.service @ONLY)"
          COMPONENT fleet)
  install(FILES ${CMAKE_BINARY_DIR}/package/knell-fleet.service DESTINATION lib/systemd/system
          COMPONENT fleet)
endif()
install(FILES ${PROJECT_SOURCE_DIR}/packaging/knell.sysusers DESTINATION lib/sysusers.d
        RENAME knell.conf COMPONENT programs)
install(FILES ${PROJECT_SOURCE_DIR}/packaging/knell.tmpfiles DESTINATION lib/tmpfiles.d
        RENAME knell.conf COMPONENT programs)
install(FILES ${PROJECT_SOURCE_DIR}/packaging/knelld.toml
        DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT programs)
install(CODE "
  set(KNELLD \${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_SBINDIR}/knelld)
  configure_file(${PROJECT_SOURCE_DIR}/packaging/systemd/knelld.service.in
                 ${CMAKE_BINARY_DIR}/package/knelld.service @ONLY)"
        COMPONENT programs)
install(FILES ${CMAKE_BINARY_DIR}/package/knelld.service DESTINATION lib/systemd/system
        COMPONENT programs)
if(TARGET knell-export)
  list(APPEND programs knell-export)
  install(TARGETS knell-export COMPONENT export)
  install(FILES ${PROJECT_SOURCE_DIR}/packaging/systemd/knell-export.catalog
          DESTINATION lib/systemd/catalog COMPONENT export)
  foreach(name prometheus journald otlp)
    install(CODE "
      set(KNELL_EXPORT \${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/knell-export)
      configure_file(${PROJECT_SOURCE_DIR}/packaging/systemd/knell-export-${name}.service.in
                     ${CMAKE_BINARY_DIR}/package/knell-export-${name}.service @ONLY)"
            COMPONENT export)
    install(FILES ${CMAKE_BINARY_DIR}/package/knell-export-${name}.service
            DESTINATION lib/systemd/system COMPONENT export)
  endforeach()
  install(FILES ${PROJECT_SOURCE_DIR}/packaging/knell-export.default
          DESTINATION ${CMAKE_INSTALL_DATADIR}/knell-export RENAME default COMPONENT export)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/packaging/prometheus ${PROJECT_SOURCE_DIR}/packaging/grafana
          DESTINATION ${CMAKE_INSTALL_DATADIR}/knell-export COMPONENT export)
endif()
install(TARGETS libknell EXPORT knell
        LIBRARY COMPONENT library NAMELINK_COMPONENT development)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/knell)
install(EXPORT knell NAMESPACE knell:: FILE knellTargets.cmake DESTINATION ${package}
        COMPONENT development)
if(TARGET libknell-static)
  list(APPEND programs libknell-static)
  get_target_property(archive libknell-static ARCHIVE)
  install(FILES ${archive} DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
endif()
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/knellConfig.cmake.in
  ${CMAKE_BINARY_DIR}/package/knellConfig.cmake INSTALL_DESTINATION ${package}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/knellConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/package/knellConfig.cmake
              ${CMAKE_BINARY_DIR}/package/knellConfigVersion.cmake DESTINATION ${package}
        COMPONENT development)
# Written at install time, because `cmake --install --prefix` may change the prefix.
install(CODE "
  set(prefix \${CMAKE_INSTALL_PREFIX})
  set(libdir ${CMAKE_INSTALL_LIBDIR})
  set(includedir ${CMAKE_INSTALL_INCLUDEDIR})
  set(version ${PROJECT_VERSION})
  set(description \"${PROJECT_DESCRIPTION}\")
  configure_file(${PROJECT_SOURCE_DIR}/cmake/knell.pc.in ${CMAKE_BINARY_DIR}/package/knell.pc @ONLY)"
        COMPONENT development)
install(FILES ${CMAKE_BINARY_DIR}/package/knell.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)

# Man pages: docs/man/NAME.SECTION.scd -> build/share/man/manSECTION/NAME.SECTION
find_program(KNELL_SCDOC scdoc)
file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/man/*.scd)
if(NOT KNELL_COMPAT)
  list(FILTER pages EXCLUDE REGEX "/knell-compat\\.")
endif()
if(NOT TARGET knell-export)
  list(FILTER pages EXCLUDE REGEX "/knell-export\\.")
endif()
if(NOT KNELL_FLEET)
  list(FILTER pages EXCLUDE REGEX "/knell-fleet\\.")
endif()
set(made)
if(KNELL_SCDOC)
  foreach(page ${pages})
    cmake_path(GET page STEM LAST_ONLY name)
    string(REGEX MATCH "[0-9]$" section ${name})
    set(out ${CMAKE_BINARY_DIR}/share/man/man${section}/${name})
    add_custom_command(OUTPUT ${out} DEPENDS ${page} VERBATIM
      COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/share/man/man${section}
      COMMAND sh -c "${KNELL_SCDOC} < '${page}' > '${out}.new' && mv '${out}.new' '${out}'")
    set(component programs)
    if(section EQUAL 3)
      set(component development)
    elseif(name STREQUAL "knell-protocol.7")
      set(component development)
    elseif(name STREQUAL "knell-compat.1")
      set(component compat)
    elseif(name STREQUAL "knell-export.1")
      set(component export)
    elseif(name STREQUAL "knell-fleet.1")
      set(component fleet)
    endif()
    install(FILES ${out} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section}
            COMPONENT ${component})
    list(APPEND made ${out})
  endforeach()
  # man knell_open and the like show knell(3).
  file(STRINGS ${PROJECT_SOURCE_DIR}/src/lib/libknell.map functions REGEX "^ +knell_")
  foreach(function ${functions})
    string(REGEX REPLACE "[^a-z_]" "" function ${function})
    file(WRITE ${CMAKE_BINARY_DIR}/share/man/links/${function}.3 ".so man3/knell.3\n")
    install(FILES ${CMAKE_BINARY_DIR}/share/man/links/${function}.3
            DESTINATION ${CMAKE_INSTALL_MANDIR}/man3 COMPONENT development)
  endforeach()
elseif(pages)
  message(STATUS "knell: no scdoc, so no man pages")
endif()
add_custom_target(man ALL DEPENDS ${made})

# Completions for bash and zsh, from the --help of the programs.
find_program(KNELL_PYTHON_FOR_TOOLS python3)
if(KNELL_PYTHON_FOR_TOOLS)
  set(out ${CMAKE_BINARY_DIR}/share/completions)
  set(tool ${PROJECT_SOURCE_DIR}/tools/make-completions)
  set(completed knell knelld)
  if(TARGET knell-export)
    list(APPEND completed knell-export)
  endif()
  if(TARGET knell-fleet)
    list(APPEND completed knell-fleet)
  endif()
  add_custom_command(OUTPUT ${out}/bash/knell ${out}/zsh/_knell VERBATIM
    COMMAND ${KNELL_PYTHON_FOR_TOOLS} ${tool} ${CMAKE_RUNTIME_OUTPUT_DIRECTORY} ${out}
    DEPENDS ${completed} ${tool})
  add_custom_target(completions ALL DEPENDS ${out}/bash/knell ${out}/zsh/_knell)
  list(APPEND programs completions)
  set(folder ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${out}/bash/knell DESTINATION ${folder} COMPONENT programs)
  install(FILES ${out}/bash/knell DESTINATION ${folder} RENAME knelld COMPONENT programs)
  # Debian's zsh has a folder of its own for files of packages.
  set(folder site-functions)
  if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
    set(folder vendor-completions)
  endif()
  install(FILES ${out}/zsh/_knell DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/${folder}
          COMPONENT programs)
else()
  message(STATUS "knell: no python3, so no completions for bash and zsh")
endif()

# The targets of `make build` and `make watch`: everything except tests and benchmarks.
add_custom_target(programs DEPENDS ${programs} man)
