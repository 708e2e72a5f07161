# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# Functions for all folders. knell_options has the compiler flags of the project's code;
# knell_library() builds a static library of a folder of src/, with its unit tests and fuzzers;
# knell_gtest() builds one executable of test sources.

add_library(knell_options INTERFACE)
target_compile_options(knell_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
target_compile_definitions(knell_options INTERFACE KNELL_VERSION="${PROJECT_VERSION}")
target_include_directories(knell_options INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>)

# knell_headers(NAME [KIND EXECUTABLE] HEADERS headers... LIBS targets...) precompiles headers for
# the targets that call knell_use_headers(), which halves the compile time of a small file. Not used
# by the preset clang: clang-tidy would need them built first, and each .cc must still compile without
# them. Not used with ccache as compiler launcher, which would need special settings.
set(KNELL_USE_PCH OFF)
if(KNELL_PCH AND NOT CMAKE_CXX_COMPILER_LAUNCHER MATCHES "ccache")
  set(KNELL_USE_PCH ON)
endif()
function(knell_headers name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "KIND" "HEADERS;LIBS")
  if(NOT KNELL_USE_PCH)
    return()
  endif()
  set(source ${CMAKE_BINARY_DIR}/generated/headers.cc)
  file(CONFIGURE OUTPUT ${source} CONTENT "")
  if(arg_KIND STREQUAL "EXECUTABLE")  # compiled with -fPIE, not with -fPIC
    add_executable(${name} EXCLUDE_FROM_ALL ${source})
  else()
    add_library(${name} OBJECT EXCLUDE_FROM_ALL ${source})
  endif()
  target_link_libraries(${name} PRIVATE knell_options ${arg_LIBS})
  target_precompile_headers(${name} PRIVATE ${arg_HEADERS})
endfunction()
function(knell_use_headers target name)
  if(KNELL_USE_PCH)
    target_precompile_headers(${target} REUSE_FROM ${name})
    # With a precompiled header, g++ 12 prints false warnings about std::string that it suppresses in
    # system headers (GCC bug 105651). Builds without precompiled headers keep these warnings on.
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      target_compile_options(${target} PRIVATE
        -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread)
    endif()
  endif()
endfunction()

# For a C program linked with libknell: with sanitizers it must be linked as C++, since the C compiler
# does not link everything that the sanitizers need for C++.
function(knell_link_c_program target)
  if(KNELL_SANITIZE)
    set_property(TARGET ${target} PROPERTY LINKER_LANGUAGE CXX)
  endif()
endfunction()

# Sanitizers apply to all targets, also to those that do not link knell_options.
if(KNELL_SANITIZE)
  add_compile_options(-fsanitize=${KNELL_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${KNELL_SANITIZE})
endif()
if(KNELL_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "KNELL_FUZZ needs clang: libFuzzer is part of it")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

knell_headers(knell_source_headers LIBS fmt::fmt
  HEADERS <algorithm> <array> <charconv> <chrono> <expected> <functional> <map> <memory> <optional>
          <span> <string> <string_view> <unordered_map> <utility> <vector> <fmt/format.h>)

set(KNELL_TESTS OFF)
if(NOT KNELL_BUILD_TESTS STREQUAL "OFF")
  if(KNELL_BUILD_TESTS STREQUAL "ON")
    find_package(GTest REQUIRED)
  else()
    find_package(GTest QUIET)
  endif()
  if(GTest_FOUND)
    set(KNELL_TESTS ON)
    include(GoogleTest)
    find_library(KNELL_RAPIDCHECK rapidcheck)
    add_library(knell_gtest INTERFACE)
    target_link_libraries(knell_gtest INTERFACE
      GTest::gmock GTest::gtest GTest::gtest_main Threads::Threads)
    if(KNELL_RAPIDCHECK)
      target_link_libraries(knell_gtest INTERFACE ${KNELL_RAPIDCHECK})
    endif()
    # Test code need not be fast, and compiles faster with -O1; with -O0 more than twice as fast with
    # the sanitizers.
    set(level -O1)
    if(KNELL_SANITIZE)
      set(level -O0)
    endif()
    target_compile_options(knell_gtest INTERFACE $<$<CONFIG:RelWithDebInfo,Release>:${level}>)
    knell_headers(knell_test_headers KIND EXECUTABLE
      HEADERS <gmock/gmock.h> <gtest/gtest.h> LIBS knell_gtest)
  else()
    message(STATUS "knell: no GoogleTest, so no tests (make test installs it)")
  endif()
endif()

# knell_gtest(TARGET SOURCES... [DEPS targets...] [LABEL label] [TIMEOUT seconds] [LOCK name]
#             [DEFINES ...])
# Builds one GoogleTest executable. Each of its tests is a test of ctest, found when ctest starts. A
# test that calls GTEST_SKIP() counts as skipped. LOCK: tests with the same lock never run at once.
function(knell_gtest target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "LABEL;TIMEOUT;LOCK" "SOURCES;DEPS;DEFINES")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)  # only to stop tests that hang: on a busy machine tests may be very slow
  endif()
  add_executable(${target} ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE knell_options ${arg_DEPS} knell_gtest)
  knell_use_headers(${target} knell_test_headers)
  target_compile_definitions(${target} PRIVATE ${arg_DEFINES})
  set(properties LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT})
  if(arg_LOCK)
    list(APPEND properties RESOURCE_LOCK ${arg_LOCK})
  endif()
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                       PROPERTIES ${properties})
endfunction()

# The folders of which libknell is made.
set(KNELL_FOLDERS_OF_LIBKNELL base event filter handover process source feed wire journal client lib)

# knell_library(NAME [DEPS names...] [LIBS targets...] [SUBDIRS folders...] [EXCLUDE files...]
#               [SMALL patterns...] [TEST_LIBS targets...])
# Builds knell_NAME, a static, position-independent library, of all *.cc of this folder and the
# SUBDIRS, except *_test.cc, *_fuzz.cc and *_bench.cc. DEPS are other folders. SMALL: files that are
# not in the path of an event; they are compiled for size, which halves their code. With tests, also
# builds knell_NAME_test of all *_test.cc, label `unit`, and compiles all *_fuzz.cc. With KNELL_FUZZ,
# also builds an executable for each *_fuzz.cc, named like its file.
function(knell_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "DEPS;LIBS;SUBDIRS;EXCLUDE;SMALL;TEST_LIBS")
  set(target knell_${name})
  set(patterns *.cc)
  foreach(folder ${arg_SUBDIRS})
    list(APPEND patterns ${folder}/*.cc)
  endforeach()
  file(GLOB all CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} ${patterns})
  list(REMOVE_ITEM all "" ${arg_EXCLUDE})
  set(sources ${all})
  list(FILTER sources EXCLUDE REGEX "_(test|fuzz|bench)\\.cc$")
  set(tests ${all})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  set(fuzzers ${all})
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cc$")
  set(libs ${arg_LIBS})
  foreach(dep ${arg_DEPS})
    list(APPEND libs knell_${dep})
  endforeach()

  add_library(${target} STATIC ${sources})
  target_link_libraries(${target} PRIVATE knell_options PUBLIC ${libs} Threads::Threads)
  if(name IN_LIST KNELL_FOLDERS_OF_LIBKNELL AND NOT KNELL_SANITIZE AND NOT KNELL_FUZZ)
    # So that libknell has only the functions that it uses.
    target_compile_options(${target} PRIVATE -ffunction-sections -fdata-sections)
  endif()
  knell_use_headers(${target} knell_source_headers)
  if(arg_SMALL)
    file(GLOB small CONFIGURE_DEPENDS ${arg_SMALL})
    list(FILTER small EXCLUDE REGEX "_(test|fuzz|bench)\\.cc$")
    # A precompiled header has to be compiled with the same option.
    set_source_files_properties(${small} PROPERTIES SKIP_PRECOMPILE_HEADERS ON
      COMPILE_OPTIONS "$<$<CONFIG:RelWithDebInfo,Release>:-Os>")
  endif()
  if(KNELL_TESTS AND tests)
    knell_gtest(${target}_test SOURCES ${tests} DEPS ${target} ${arg_TEST_LIBS} LABEL unit
                DEFINES KNELL_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  endif()
  if(KNELL_FUZZ)
    foreach(file ${fuzzers})
      cmake_path(GET file STEM fuzzer)
      add_executable(${fuzzer} ${file})
      target_link_libraries(${fuzzer} PRIVATE knell_options ${target})
      target_link_options(${fuzzer} PRIVATE -fsanitize=fuzzer)
    endforeach()
  elseif(KNELL_TESTS AND fuzzers)  # so that a change that breaks them is noticed in each build
    add_library(${target}_fuzzers OBJECT ${fuzzers})
    target_link_libraries(${target}_fuzzers PRIVATE knell_options ${target})
  endif()
endfunction()
