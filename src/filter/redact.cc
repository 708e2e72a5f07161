// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// One pass over tokens, which end at a NUL and at white space alike, so that a command line inside
// a word is seen as well. Nothing is copied until something is found. When in doubt it hides: what
// is hidden without need costs a look at the machine, what is shown cannot be taken back.
#include "filter/redact.h"

#include <algorithm>
#include <array>

namespace knell::filter {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kHidden = "***";

// Of names in lower case with dashes.
constexpr std::array kSecretEnds{"password"sv,   "passwd"sv,     "passphrase"sv, "pwd"sv,
                                 "secret"sv,     "token"sv,      "api-key"sv,    "apikey"sv,
                                 "access-key"sv, "secret-key"sv, "pass"sv};
// Names that end so and hold no secret: a number of tokens, a file.
constexpr std::array kHarmless{"bypass"sv, "max-token"sv, "compass"sv};

// Programs whose short flags hold secrets.
constexpr std::array kPasswordPrograms{"mysql"sv,        "mysqldump"sv,    "mysqladmin"sv,
                                       "mysqlimport"sv,  "mysqlcheck"sv,   "mariadb"sv,
                                       "mariadb-dump"sv, "mariadb-admin"sv};
constexpr std::array kUserPrograms{"curl"sv, "wget"sv, "http"sv, "smbclient"sv};

bool is_space(char c) { return c == '\0' || c == ' ' || c == '\t' || c == '\n'; }
bool is_quote(char c) { return c == '\'' || c == '"'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool ends_with_name(std::string_view name, std::string_view end) {
  if (name.size() < end.size()) return false;
  return std::ranges::equal(name.substr(name.size() - end.size()), end,
                            [](char a, char b) { return (a == '_' ? '-' : lower(a)) == b; });
}

bool is_secret_name(std::string_view name) {
  const auto ends = [&](std::string_view end) { return ends_with_name(name, end); };
  return std::ranges::any_of(kSecretEnds, ends) && !std::ranges::any_of(kHarmless, ends);
}

template <class Names>
bool is_one_of(const Names& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

std::string_view base_name(std::string_view path) {
  path = path.substr(0, path.find('\0'));
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

Redactor Redactor::none() {
  Redactor redactor;
  redactor.on_ = false;
  return redactor;
}

std::optional<std::string_view> Redactor::redact(std::string_view args) {
  if (!on_) return std::nullopt;
  args_ = args;
  program_ = base_name(args);
  copied_ = 0;
  hidden_ = false;
  Next next = Next::kPlain;
  for (auto token = next_token(0); token; token = next_token(token->end)) {
    const std::string_view text = args_.substr(token->begin, token->end - token->begin);
    // Two dashes are the next flag: this one was to ask for its value.
    if (next == Next::kSecret && !text.starts_with("--")) {
      hide(token->begin, end_of_value(token->begin, token->end));
      next = Next::kPlain;
      continue;
    }
    const bool names_user = next == Next::kUserAndSecret;
    next = judge(*token);
    if (const size_t colon = text.find(':'); names_user && colon != std::string_view::npos)
      hide(token->begin + colon + 1, end_of_value(token->begin + colon + 1, token->end));
    // A program named within a word: from here on its flags count.
    if (is_one_of(kPasswordPrograms, base_name(text)) ||
        is_one_of(kUserPrograms, base_name(text)) || base_name(text) == "sshpass")
      program_ = base_name(text);
  }
  if (!hidden_) return std::nullopt;
  out_.append(args_.substr(copied_));
  return out_;
}

std::optional<Redactor::Token> Redactor::next_token(size_t from) const {
  while (from < args_.size() && is_space(args_[from])) ++from;
  if (from >= args_.size()) return std::nullopt;
  size_t end = from;
  while (end < args_.size() && !is_space(args_[end])) ++end;
  return Token{from, end};
}

bool Redactor::is_secret_flag(std::string_view name) const {
  if (is_one_of(except_, name)) return false;
  if (is_one_of(flags_, name)) return true;
  return name.starts_with("--") && is_secret_name(name.substr(2));
}

Redactor::Next Redactor::judge(Token token) {
  std::string_view text = args_.substr(token.begin, token.end - token.begin);
  while (!text.empty() && is_quote(text.front())) {
    text.remove_prefix(1);
    ++token.begin;
  }
  if (text.size() >= 14 && ends_with_name(text.substr(0, 14), "authorization:")) {
    // To the end of the word: the scheme and what it needs.
    hide(token.begin + 14, std::min(args_.find('\0', token.begin), args_.size()));
    return Next::kPlain;
  }
  const size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  const bool assigns = equals != std::string_view::npos;
  if (text.starts_with('-')) {
    if (is_secret_flag(name)) {
      if (!assigns) return Next::kSecret;
      judge_value(token, token.begin + equals + 1);
      return Next::kPlain;
    }
    if (text == "-p" && program_ == "sshpass") return Next::kSecret;
    const bool glued = text.starts_with("-p") && !text.starts_with("--") && text.size() > 2;
    if (glued && (program_ == "sshpass" || is_one_of(kPasswordPrograms, program_))) {
      hide(token.begin + 2, end_of_value(token.begin + 2, token.end));
      return Next::kPlain;
    }
    const bool user = text == "-u" || text == "--user" || text == "-U" || text == "--proxy-user";
    if (user && is_one_of(kUserPrograms, program_)) return Next::kUserAndSecret;
  } else if (assigns && is_secret_name(name)) {
    judge_value(token, token.begin + equals + 1);
    return Next::kPlain;
  }
  judge_userinfo(token);
  return Next::kPlain;
}

void Redactor::judge_value(Token token, size_t from) { hide(from, end_of_value(from, token.end)); }

// user:password@: what stands between the first colon and the last at sign of what holds neither
// slash nor space.
void Redactor::judge_userinfo(Token token) {
  const std::string_view text = args_.substr(token.begin, token.end - token.begin);
  size_t from = 0;
  while (true) {
    const size_t at = text.find('@', from);
    if (at == std::string_view::npos) return;
    size_t begin = at;
    while (begin > from && text[begin - 1] != '/' && !is_quote(text[begin - 1])) --begin;
    const size_t colon = text.substr(begin, at - begin).find(':');
    if (colon != std::string_view::npos && colon > 0) {
      size_t last = at;
      while (true) {
        const size_t stop = text.find_first_of("/@'\"?#", last + 1);
        if (stop == std::string_view::npos || text[stop] != '@') break;
        last = stop;
      }
      hide(token.begin + begin + colon + 1, token.begin + last);
      from = last + 1;
    } else {
      from = at + 1;
    }
  }
}

// A quoted value goes on to its quote, beyond spaces, but not out of its word.
size_t Redactor::end_of_value(size_t from, size_t end) const {
  const size_t word = std::min(args_.find('\0', from), args_.size());
  if (from < word && is_quote(args_[from])) {
    const size_t close = args_.find(args_[from], from + 1);
    return close < word ? close + 1 : word;
  }
  // What began with a quote before its name ends with it too: "--password=a b"
  return end;
}

void Redactor::hide(size_t begin, size_t end) {
  begin = std::max(begin, copied_);
  if (begin >= end) return;
  if (!hidden_) out_.clear();
  hidden_ = true;
  out_.append(args_.substr(copied_, begin - copied_));
  out_.append(kHidden);
  copied_ = end;
}

}  // namespace knell::filter
