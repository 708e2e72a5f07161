// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/timeline/command_labels.h"

#include <algorithm>

#include "cli/text.h"

namespace knell::cli {
namespace {

// Chosen, not measured.
constexpr size_t kMostWords = 500;  // of a command line; later ones are ignored
constexpr size_t kMostShown = 8;
constexpr size_t kColumns = 80;

// The arguments after the first, which names the program.
std::vector<std::string_view> words_of(std::string_view args) {
  std::vector<std::string_view> words;
  size_t begin = std::min(args.find('\0'), args.size()) + 1;
  while (begin < args.size() && words.size() < kMostWords) {
    const size_t end = std::min(args.find('\0', begin), args.size());
    if (end != begin) words.push_back(args.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

// The last part of a path; other words unchanged.
std::string_view last_part(std::string_view word) {
  constexpr std::string_view kNotInPaths = " \t\n;|&$(){}*=";
  const size_t slash = word.rfind('/');
  if (slash == std::string_view::npos || slash + 1 == word.size()) return word;
  return word.find_first_of(kNotInPaths) == std::string_view::npos ? word.substr(slash + 1) : word;
}

// The name of a file without its endings: "main" of "main.c.o".
std::string_view stem(std::string_view word) { return word.substr(0, word.find('.', 1)); }

bool is_temporary(std::string_view word) {
  return word.starts_with("/tmp/") || word.starts_with("/var/tmp/");
}

}  // namespace

void CommandLabels::add(uint32_t process) {
  const PastProcess& added = history_.processes()[process];
  Commands& commands = by_name_[added.name];
  if (!commands.args.insert(added.args).second) return;
  std::vector<std::string_view> words = words_of(history_.text(added.args));
  std::ranges::sort(words);
  const auto repeated = std::ranges::unique(words);
  words.erase(repeated.begin(), repeated.end());
  for (const std::string_view word : words) ++commands.words[word];
}

std::vector<std::string_view> CommandLabels::rare_words(const PastProcess& process) const {
  std::vector<std::string_view> shown, temporary;
  const auto found = by_name_.find(process.name);
  for (const std::string_view word : words_of(history_.text(process.args))) {
    if (found != by_name_.end()) {
      const Commands& commands = found->second;
      const auto count = commands.words.find(word);
      const bool rare = count == commands.words.end() || commands.args.size() == 1 ||
                        2 * size_t{count->second} <= commands.args.size();
      if (!rare) continue;
    }
    const std::string_view part = last_part(word);
    if (part == history_.text(process.name)) continue;
    // Of a source and the files made of it, which a compiler names first, keep the source.
    std::vector<std::string_view>& list = is_temporary(word) ? temporary : shown;
    std::erase_if(list, [&](std::string_view one) { return stem(one) == stem(part); });
    if (list.size() < kMostShown) list.push_back(part);
  }
  return shown.empty() ? temporary : shown;
}

std::string CommandLabels::label(uint32_t process) const {
  const PastProcess& labelled = history_.processes()[process];
  std::string out = labelled.name == 0 ? "?" : name_text(history_.text(labelled.name));
  for (const std::string_view word : rare_words(labelled)) out += ' ' + name_text(word);
  return cut(out, kColumns);
}

}  // namespace knell::cli
