#!/usr/bin/env python3
# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
"""build_cffi.py INCLUDE OUT: writes the C source of the extension module knell._knell to OUT.

The declarations are those of <knell/knell.h>. cffi compiles them against the same header, so that a
structure or a function that differs does not compile."""

import pathlib
import re
import sys

import cffi


def declarations(header):
    """The C declarations of a header, without comments, macros, and bodies of inline functions."""
    text = re.sub(r"//[^\n]*", "", header)
    text = re.sub(r"^static inline .*?^}\n", "", text, flags=re.M | re.S)
    text = re.sub(r"#ifdef __cplusplus\n.*?#endif\n", "", text, flags=re.S)
    text = re.sub(r"#ifdef KNELL_CN_PROC_KERNEL_NAMES\n.*", "", text, flags=re.S)
    text = re.sub(r"^#(?:[^\n]*\\\n)*[^\n]*\n", "", text, flags=re.M)
    return text.replace("KNELL_API ", "")


def constants(header):
    """A declaration of each macro that is a number or a string."""
    macros = re.findall(r"^#define (KNELL_\w+)[ \\](.?)", header, flags=re.M)
    return "".join(f'static char *const {name};\n' if first == '"' else f"#define {name} ...\n"
                   for name, first in macros
                   if name != "KNELL_API" and not name.endswith("_INIT"))


CALLBACKS = """
extern "Python" int knell_python_on_event(const struct knell_event *, void *);
extern "Python" int knell_python_on_finding(const struct knell_finding *, void *);
"""


def main():
    include, out = map(pathlib.Path, sys.argv[1:])
    ffi = cffi.FFI()
    ffi.cdef("typedef int... time_t; typedef int... pid_t;"
             "struct timespec { time_t tv_sec; long tv_nsec; ...; };")
    # Of cn_proc.h only the types of events: the datagrams of the kernel are not for Python.
    types = (include / "knell/cn_proc.h").read_text()
    event_type = re.search(r"enum knell_event_type {.*?};", types, re.S)[0]
    ffi.cdef(re.sub(r"//[^\n]*", "", event_type) + "\n" + "".join(
        f"#define {name} ...\n" for name in re.findall(r"#define (KNELL_EVENT_\w+) ", types)))
    header = (include / "knell/knell.h").read_text()
    ffi.cdef(declarations(header) + constants(header) + CALLBACKS)
    ffi.set_source("knell._knell", "#include <time.h>\n#include <knell/knell.h>\n",
                   py_limited_api=True)
    ffi.emit_c_code(str(out))


main()
