# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# knell_bpf_skeleton(TARGET NAME SOURCE [DEPENDS files...] [DEFINES names...]): compiles a *.bpf.c and
# generates the header NAME.skel.h (bpftool's skeleton), which has the object and the functions to
# load it, for the sources of TARGET. The object works on every kernel with BTF, independent of the
# kernel it is built on.
include_guard(GLOBAL)
find_program(KNELL_BPF_CLANG NAMES clang clang-14 clang-19 REQUIRED)
find_program(KNELL_BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)
find_path(KNELL_LIBBPF_INCLUDE bpf/libbpf.h REQUIRED)

# Runs while building, so it is built without sanitizers.
add_executable(knell-trim-bpf ${PROJECT_SOURCE_DIR}/tools/trim_bpf.cc)
set_target_properties(knell-trim-bpf PROPERTIES
  COMPILE_OPTIONS "" LINK_OPTIONS "" RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tools)
target_link_libraries(knell-trim-bpf PRIVATE knell_options)

function(knell_bpf_skeleton target name source)
  cmake_parse_arguments(PARSE_ARGV 3 arg "" "" "DEPENDS;DEFINES")
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/skeletons)
  set(object ${folder}/${name}.o)
  cmake_path(ABSOLUTE_PATH source OUTPUT_VARIABLE from)
  list(TRANSFORM arg_DEPENDS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  list(TRANSFORM arg_DEFINES PREPEND -D)
  file(MAKE_DIRECTORY ${folder})
  # The kernel's UAPI headers include those of the architecture, which are in a separate folder.
  set(machine)
  if(CMAKE_LIBRARY_ARCHITECTURE)
    set(machine -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE})
  endif()
  add_custom_command(
    OUTPUT ${folder}/${name}.skel.h
    COMMAND ${KNELL_BPF_CLANG} -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror
            -Wno-unused-parameter -ffile-prefix-map=${PROJECT_SOURCE_DIR}=.
            -I${KNELL_LIBBPF_INCLUDE} ${machine} ${arg_DEFINES} -c ${from} -o ${object}.full
    COMMAND ${KNELL_BPFTOOL} gen object ${object} ${object}.full
    COMMAND knell-trim-bpf ${object}
    COMMAND ${KNELL_BPFTOOL} gen skeleton ${object} name ${name} > ${folder}/${name}.skel.h
    DEPENDS ${from} ${arg_DEPENDS}
    COMMENT "Programs for the kernel: ${name}"
    VERBATIM)
  add_custom_target(${target}_${name} DEPENDS ${folder}/${name}.skel.h)
  add_dependencies(${target} ${target}_${name})
  target_include_directories(${target} SYSTEM PRIVATE ${folder})
endfunction()
