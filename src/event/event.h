// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell_event, for code that lives in namespace knell. C++ cannot have `struct knell` and
// `namespace knell` in one scope, and <knell/knell.h> names its handle the former: inside, the
// handle is knell_handle. Which tag stands behind the pointer is no part of the C ABI.
#pragma once

#define knell knell_handle
#include <knell/knell.h>
#undef knell
