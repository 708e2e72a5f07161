# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# What every folder is made with. knell_options carries the flags of our own code; knell_library()
# turns a folder of src/ into a static library, its unit tests and its fuzzers; knell_gtest()
# turns test sources into one executable.

add_library(knell_options INTERFACE)
target_compile_options(knell_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
target_compile_definitions(knell_options INTERFACE KNELL_VERSION="${PROJECT_VERSION}")
target_include_directories(knell_options INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>)

# Sanitizers apply to everything, also to what does not link knell_options.
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
  else()
    message(STATUS "knell: no GoogleTest, so no tests (make test installs it)")
  endif()
endif()

# knell_gtest(TARGET SOURCES... [DEPS targets...] [LABEL label] [TIMEOUT seconds] [LOCK name]
#             [DEFINES ...])
# One GoogleTest executable; each of its tests is a test of ctest, found when ctest starts. A test
# that calls GTEST_SKIP() counts as skipped. LOCK: never two tests with that lock at a time.
function(knell_gtest target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "LABEL;TIMEOUT;LOCK" "SOURCES;DEPS;DEFINES")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)  # for what hangs: on a busy machine a second may take a minute
  endif()
  add_executable(${target} ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE knell_options ${arg_DEPS} knell_gtest)
  target_compile_definitions(${target} PRIVATE ${arg_DEFINES})
  set(properties LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT})
  if(arg_LOCK)
    list(APPEND properties RESOURCE_LOCK ${arg_LOCK})
  endif()
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                       PROPERTIES ${properties})
endfunction()

# knell_library(NAME [DEPS names...] [LIBS targets...] [SUBDIRS folders...] [EXCLUDE files...]
#               [TEST_LIBS targets...])
# Makes knell_NAME, a static, position-independent library, of all *.cc of this folder and the
# SUBDIRS named, without the *_test.cc, *_fuzz.cc and *_bench.cc. DEPS are other folders. With
# tests: knell_NAME_test of all *_test.cc, label `unit`. With KNELL_FUZZ: an executable for each
# *_fuzz.cc, named after its file.
function(knell_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "DEPS;LIBS;SUBDIRS;EXCLUDE;TEST_LIBS")
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
  endif()
endfunction()
