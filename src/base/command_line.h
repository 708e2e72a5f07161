// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace knell {

// The options of a program or of one of its commands. The add functions add them; parse() then
// writes the values typed into the variables given, which must outlive this object. Not
// thread-safe. command_line.cc is the only file that includes the parser library, which takes
// seconds to compile.
//
// Names are as in "-o,--output". A help text may have several lines; `type` stands for the value in
// it. If an option is given twice, the last value counts, except for options with many values.
class CommandLine {
 public:
  struct Error {
    enum class Kind { kUnexpectedWord, kMissingValue, kUnwantedValue, kOther };
    Kind kind = Kind::kOther;
    std::string subject;  // the unexpected word, or the option with a missing or unwanted value
    std::string text;     // the library's message
  };
  enum class Parsed { kAll, kHelp };  // kHelp: --help was given; other words were not checked

  explicit CommandLine(std::string_view program);
  CommandLine(CommandLine&&) noexcept;
  ~CommandLine();

  void add_help(const std::string& help);  // -h,--help
  void add_flag(const std::string& names, bool& value, const std::string& help = "");
  void add_value(const std::string& names, std::string& value, const std::string& type = "",
                 const std::string& help = "");
  // "--check [FILE]": `value` is empty without FILE.
  void add_optional_value(const std::string& names, std::string& value);
  // An option that may be given several times, with one value each; all values are kept. `group`:
  // its heading in the help text.
  void add_values(const std::string& names, std::vector<std::string>& values,
                  const std::string& type, const std::string& help, const std::string& group = "");
  // Words that belong to no option; `name` stands for them in the help text.
  void add_word(const std::string& name, std::string& value, const std::string& help);
  void add_words(const std::string& name, std::vector<std::string>& values,
                 const std::string& help);

  std::expected<Parsed, Error> parse(std::vector<std::string> words);

  const std::string& program() const;
  // The list of options in --help.
  std::string options_text() const;
  bool has(std::string_view option) const;
  bool has_words() const;                           // add_word() or add_words()
  bool takes_value(std::string_view option) const;  // false: a flag, or no such option
  std::vector<std::string> option_names() const;    // "--output", "-o", ...
  // To be called after parse(): whether the option was typed; the first option that was typed with
  // an empty value, or "".
  bool given(std::string_view option) const;
  std::string option_with_empty_value() const;

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace knell
