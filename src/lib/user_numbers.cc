// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/user_numbers.h"

#include <ranges>

#include "filter/predicate_values.h"

namespace knell::lib {

Result<std::string> user_numbers(std::string_view key, std::string_view values) {
  std::string numbers;
  for (const auto part : std::views::split(values, ',')) {
    std::string_view word(part.begin(), part.end());
    const auto trim = [&word] {
      while (word.starts_with(' ')) word.remove_prefix(1);
      while (word.ends_with(' ')) word.remove_suffix(1);
    };
    trim();
    if (!numbers.empty()) numbers += ',';
    if (word.starts_with('!')) {
      numbers += '!';
      word.remove_prefix(1);
      trim();
    }
    KNELL_ASSIGN(const int64_t uid, filter::parse_uid(key, word));
    numbers += std::to_string(uid);
  }
  return numbers;
}

}  // namespace knell::lib
