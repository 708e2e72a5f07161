// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace knell::cli {

// page.html, page.js and page.css; of the latter two the SHA-256 in hexadecimal digits.
extern const std::string_view kPageBody;
extern const std::string_view kPageScript, kPageScriptSha256;
extern const std::string_view kPageStyle, kPageStyleSha256;

}  // namespace knell::cli
