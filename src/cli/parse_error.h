// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
class ParseError;
}  // namespace CLI

namespace knell::cli {

// CLI11's messages, in one line and in our words.
std::string in_one_line(const CLI::App& app, const CLI::ParseError& error);

}  // namespace knell::cli
