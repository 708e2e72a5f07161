// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace knell {

// The options of a program or of one of its commands: they are added, then the words typed are
// parsed into the variables given, which must outlive it. Its .cc is the only file that includes
// the parser's library, which takes seconds to compile.
//
// Names are as in "-o,--output"; a help text may have several lines, `type` stands in it for the
// value. An option given twice: the last one counts, except for those with many values.
class CommandLine {
 public:
  struct Error {
    enum class Kind { kUnexpectedWord, kMissingValue, kUnwantedValue, kOther };
    Kind kind = Kind::kOther;
    std::string subject;  // the word, or the option that has no value or takes none
    std::string text;     // the library's own words
  };
  enum class Parsed { kAll, kHelp };  // kHelp: --help was among them, and the rest was not judged

  explicit CommandLine(std::string_view program);
  CommandLine(CommandLine&&) noexcept;
  ~CommandLine();

  void add_help(const std::string& help);  // -h,--help
  void add_flag(const std::string& names, bool& value, const std::string& help = "");
  void add_value(const std::string& names, std::string& value, const std::string& type = "",
                 const std::string& help = "");
  // "--check [FILE]": `value` stays empty without one.
  void add_optional_value(const std::string& names, std::string& value);
  // One value each time it is given, all of them kept. `group`: its heading in the help text.
  void add_values(const std::string& names, std::vector<std::string>& values,
                  const std::string& type, const std::string& help, const std::string& group = "");
  // Words that belong to no option; `name` stands for them in the help text.
  void add_word(const std::string& name, std::string& value, const std::string& help);
  void add_words(const std::string& name, std::vector<std::string>& values,
                 const std::string& help);

  std::expected<Parsed, Error> parse(std::vector<std::string> words);

  const std::string& program() const;
  // What --help lists: every option with its text.
  std::string options_text() const;
  bool has(std::string_view option) const;
  bool has_words() const;                           // add_word() or add_words()
  bool takes_value(std::string_view option) const;  // false: a flag, or there is none of that name
  std::vector<std::string> option_names() const;    // "--output", "-o", ...
  // After parse(): whether the option was typed; the first option typed with an empty value, or "".
  bool given(std::string_view option) const;
  std::string option_with_empty_value() const;

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace knell
