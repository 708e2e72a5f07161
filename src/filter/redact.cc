// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// One pass over tokens. A token ends at a NUL or at white space, so that a command line inside a
// word is searched too. A flag or assignment at the start of a word hides to the end of the word,
// since the shell has removed the quotes: `--password=a b`. The word after `sh -c` is a script, in
// which blanks end a secret. Nothing is copied until a secret is found. In doubt it hides: text
// hidden without need can be looked up on the machine, a secret once shown cannot be taken back.
#include "filter/redact.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace knell::filter {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kHidden = "***";

// Ends of secret names, in lower case and with dashes.
constexpr std::array kSecretEnds{"password"sv,   "passwd"sv,     "passphrase"sv, "pwd"sv,
                                 "secret"sv,     "token"sv,      "api-key"sv,    "apikey"sv,
                                 "access-key"sv, "secret-key"sv, "pass"sv};
// Names that end like a secret's name but have no secret: a number of tokens, or a flag that makes
// the program prompt for a password.
constexpr std::array kHarmless{"bypass"sv,   "max-token"sv,    "compass"sv,     "askpass"sv,
                               "ask-pass"sv, "become-pass"sv,  "no-password"sv, "nopass"sv,
                               "no-pass"sv,  "ask-password"sv, "no-token"sv};
// Whole names without a secret: the working directory.
constexpr std::array kFolders{"PWD"sv, "OLDPWD"sv};

// Programs whose short flags hold secrets.
constexpr std::array kPasswordPrograms{"mysql"sv,        "mysqldump"sv,    "mysqladmin"sv,
                                       "mysqlimport"sv,  "mysqlcheck"sv,   "mariadb"sv,
                                       "mariadb-dump"sv, "mariadb-admin"sv};
constexpr std::array kUserPrograms{"curl"sv, "wget"sv, "http"sv, "https"sv};
constexpr std::array kPercentPrograms{"smbclient"sv, "rpcclient"sv, "smbget"sv, "smbcacls"sv};
constexpr std::array kRedisPrograms{"redis-cli"sv, "redis-benchmark"sv, "valkey-cli"sv};
constexpr std::array kLdapPrograms{"ldapsearch"sv, "ldapmodify"sv,  "ldapadd"sv,    "ldapdelete"sv,
                                   "ldapwhoami"sv, "ldapcompare"sv, "ldapmodrdn"sv, "ldappasswd"sv};
constexpr std::array kOraclePrograms{"sqlplus"sv, "sqlldr"sv, "expdp"sv, "impdp"sv, "rman"sv};
constexpr std::array kShells{"sh"sv, "bash"sv, "dash"sv, "zsh"sv, "ksh"sv, "ash"sv, "su"sv};
// Programs with rules of their own for -p and -pass.
constexpr std::array kOthers{"sshpass"sv, "ffmpeg"sv, "openssl"sv};
// Values of openssl that name the place of a secret and contain no secret.
constexpr std::array kElsewhere{"env:"sv, "file:"sv, "fd:"sv, "stdin"sv};

// For programs whose short flags can share a word, as in `curl -su USER:X`: the letters of the
// flags that take a value. What follows such a letter in the word is its value. A letter that takes
// one in some of these programs only is left out: in doubt it hides.
struct ShortFlags {
  std::span<const std::string_view> programs;
  std::string_view with_value;
};
constexpr std::array kCurl{"curl"sv};
constexpr std::array kWget{"wget"sv};
constexpr std::array kHttpie{"http"sv, "https"sv};
constexpr std::array kSshpass{"sshpass"sv};
constexpr std::array kShortFlags{
    ShortFlags{kPasswordPrograms, "DPSehpu"},
    ShortFlags{kCurl, "ACDEFHKPQTUXYbcdehmortuwxyz"},
    ShortFlags{kWget, "ABDIOPQRTUXaeilotw"},
    ShortFlags{kHttpie, "Aaops"},
    ShortFlags{kPercentPrograms, "ADILMORTUWbcdilmnopstw"},
    ShortFlags{kLdapPrograms, "DEFHOPRTUXYbdefhlopswyz"},
    ShortFlags{kSshpass, "Pdfp"},
};

bool is_space(char c) { return c == '\0' || c == ' ' || c == '\t' || c == '\n'; }
bool is_quote(char c) { return c == '\'' || c == '"'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool ends_with_name(std::string_view name, std::string_view end) {
  if (name.size() < end.size()) return false;
  return std::ranges::equal(name.substr(name.size() - end.size()), end,
                            [](char a, char b) { return (a == '_' ? '-' : lower(a)) == b; });
}

bool is_secret_name(std::string_view name) {
  if (std::ranges::find(kFolders, name) != kFolders.end()) return false;
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

bool is_known_program(std::string_view name) {
  return is_one_of(kPasswordPrograms, name) || is_one_of(kUserPrograms, name) ||
         is_one_of(kPercentPrograms, name) || is_one_of(kRedisPrograms, name) ||
         is_one_of(kLdapPrograms, name) || is_one_of(kOraclePrograms, name) ||
         is_one_of(kOthers, name);
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
  hidden_ = shell_ = script_follows_ = false;
  Next next = Next::kPlain;
  for (auto token = next_token(0); token; token = next_token(std::max(token->end, copied_))) {
    const std::string_view text = args_.substr(token->begin, token->end - token->begin);
    // Two dashes begin the next flag: this flag has no value and makes the program prompt for it.
    if (next == Next::kSecret && !text.starts_with("--")) {
      hide_value(next, *token, token->begin);
      next = Next::kPlain;
      continue;
    }
    const bool names_user = next == Next::kUserAndSecret;
    next = redact_token(*token);
    if (names_user) hide_value(Next::kUserAndSecret, *token, token->begin);
    update_program(*token);
  }
  if (!hidden_) return std::nullopt;
  out_.append(args_.substr(copied_));
  return out_;
}

std::optional<Redactor::Token> Redactor::next_token(size_t from) {
  bool begins_word = from == 0;
  for (; from < args_.size() && is_space(args_[from]); ++from)
    begins_word = begins_word || args_[from] == '\0';
  if (from >= args_.size()) return std::nullopt;
  size_t end = from;
  while (end < args_.size() && !is_space(args_[end])) ++end;
  return Token{from, end, begins_word && !std::exchange(script_follows_, false), 0};
}

// If the token names a program, also inside a word, the flags after it are tested as flags of that
// program. The program that sshpass runs is the first word that is no flag.
void Redactor::update_program(Token token) {
  const std::string_view text = args_.substr(token.begin, token.end - token.begin);
  const std::string_view name = base_name(text);
  shell_ = shell_ || is_one_of(kShells, name);
  if (is_known_program(name) || (program_ == "sshpass" && !text.starts_with('-'))) program_ = name;
  // sh -c, bash -lc
  script_follows_ =
      token.whole && shell_ && text.size() <= 4 && text.starts_with('-') && text.ends_with('c');
}

bool Redactor::is_secret_flag(std::string_view name) const {
  if (is_one_of(except_, name)) return false;
  if (is_one_of(flags_, name)) return true;
  // In ffmpeg, -pass N is the number of the encoding pass
  if (name == "-pass" && program_ == "ffmpeg") return false;
  if (!name.starts_with('-')) return is_secret_name(name);
  return name.size() > 2 && is_secret_name(name.substr(name[1] == '-' ? 2 : 1));
}

// Whether the next word is a secret. False for -DUSE_TOKEN, -f/etc/passwd, --type=token.
bool Redactor::takes_value(std::string_view flag) const {
  if (is_one_of(flags_, flag)) return true;
  const bool defines = flag.starts_with("-D") || flag.starts_with("-I") || flag.starts_with("-L");
  return !defines && flag.find_first_of("=/") == std::string_view::npos && is_secret_flag(flag);
}

// The kind of value that this flag of the current program has, in the same word or in the next one.
Redactor::Next Redactor::known_flag(std::string_view flag) const {
  if (program_ == "sshpass" || is_one_of(kPasswordPrograms, program_))
    return flag == "-p" ? Next::kSecret : Next::kPlain;
  if (is_one_of(kRedisPrograms, program_)) return flag == "-a" ? Next::kSecret : Next::kPlain;
  if (is_one_of(kLdapPrograms, program_)) return flag == "-w" ? Next::kSecret : Next::kPlain;
  const bool user = flag == "-u" || flag == "-U" || flag == "--user" || flag == "--proxy-user";
  const bool auth = program_.starts_with("http") && (flag == "-a" || flag == "--auth");
  const bool takes = is_one_of(kUserPrograms, program_) || is_one_of(kPercentPrograms, program_);
  return takes && (user || auth) ? Next::kUserAndSecret : Next::kPlain;
}

// The length of the flag that may have a secret: of a long flag its name; of short flags in one
// word, all up to the first one that takes a value.
size_t Redactor::length_of_flag(std::string_view text) const {
  if (text.starts_with("--")) return std::min(text.find('='), text.size());
  const auto flags = std::ranges::find_if(kShortFlags, [&](const ShortFlags& one) {
    return std::ranges::find(one.programs, program_) != one.programs.end();
  });
  if (flags == kShortFlags.end()) return std::min<size_t>(text.size(), 2);
  const size_t at = text.find_first_of(flags->with_value, 1);
  return at == std::string_view::npos ? text.size() : at + 1;
}

Redactor::Next Redactor::redact_token(Token token) {
  std::string_view text = args_.substr(token.begin, token.end - token.begin);
  while (!text.empty() && is_quote(text.front())) {
    token.quote = text.front();
    text.remove_prefix(1);
    ++token.begin;
  }
  if (redact_header(token, text)) return Next::kPlain;
  if (text.starts_with("pass:")) {
    hide_value(Next::kSecret, token, token.begin + 5);
    return Next::kPlain;
  }
  if (redact_assignments(token, text)) return Next::kPlain;
  if (text.starts_with('-')) {
    if (const Next next = redact_flag(token, text); next != Next::kPlain) return next;
  } else if (is_one_of(kOraclePrograms, program_)) {
    redact_logon(token, text);
  }
  redact_userinfo(token);
  return Next::kPlain;
}

// Authorization: VALUE. Hides to the end of the word: the scheme and the credentials.
bool Redactor::redact_header(Token token, std::string_view text) {
  std::string_view name = text.substr(0, text.find(':'));
  if (name.size() == text.size()) return false;
  const size_t from = token.begin + name.size() + 1;
  if (const size_t equals = name.rfind('='); equals != std::string_view::npos)
    name.remove_prefix(equals + 1);  // --header=Name: value
  if (name.starts_with("-H")) name.remove_prefix(2);
  while (!name.empty() && is_quote(name.front())) name.remove_prefix(1);
  if (name.starts_with('-')) return false;
  const bool plainly = name.size() == 13 && ends_with_name(name, "authorization");
  const bool own = name.starts_with("X-") || name.starts_with("x-") ||
                   (text.ends_with(':') && name.find('-') != std::string_view::npos);
  if (!plainly && !(own && is_secret_name(name))) return false;
  hide(from, std::min(args_.find('\0', from), args_.size()));
  return true;
}

// Also after another equals sign: --set=db.password=X, ?a=1&token=X
bool Redactor::redact_assignments(Token token, std::string_view text) {
  size_t begin = 0;
  for (size_t at = text.find('='); at != std::string_view::npos; at = text.find('=', begin)) {
    const std::string_view name = text.substr(begin, at - begin);
    const bool excepted = begin == 0 && is_one_of(except_, name);
    if (excepted) return false;
    if (is_secret_flag(name)) {
      hide_value(Next::kSecret, token, token.begin + at + 1);
      return true;
    }
    begin = at + 1;
  }
  return false;
}

Redactor::Next Redactor::redact_flag(Token token, std::string_view text) {
  if (takes_value(text)) return Next::kSecret;
  const bool is_long = text.starts_with("--");
  const size_t length = length_of_flag(text);
  const std::array last{'-', text[length - 1]};
  const Next kind = known_flag(is_long ? text.substr(0, length) : std::string_view(last));
  if (kind == Next::kPlain) return Next::kPlain;
  if (length == text.size())  // mysql -p: it prompts for the password
    return is_one_of(kPasswordPrograms, program_) ? Next::kPlain : kind;
  hide_value(kind, token, token.begin + length + (is_long ? 1 : 0));
  return Next::kPlain;
}

// user/password@database
void Redactor::redact_logon(Token token, std::string_view text) {
  const size_t from = text.starts_with("userid=") ? 7 : 0;
  const size_t slash = text.find('/', from);
  if (slash == std::string_view::npos || slash == from || text.starts_with('@')) return;
  if (from == 0 && text.substr(0, slash).find('=') != std::string_view::npos) return;
  if (text.ends_with(program_)) return;  // the path of the program itself
  const size_t at = text.rfind('@');
  const bool has_database = at != std::string_view::npos && at > slash;
  hide(token.begin + slash + 1, has_database ? token.begin + at : end_of_value(token, token.end));
}

// Hides the value that begins at `from`. kUserAndSecret: hides only the part after the colon.
void Redactor::hide_value(Next kind, Token token, size_t from) {
  if (kind == Next::kUserAndSecret) {
    const char mark = is_one_of(kPercentPrograms, program_) ? '%' : ':';
    const size_t at = args_.find(mark, from);
    if (at >= token.end) return;
    if (is_quote(args_[token.begin])) token.quote = args_[token.begin];
    return hide(at + 1, end_of_value(token, at + 1));
  }
  // openssl -pass file:X says where the secret is.
  const std::string_view value = args_.substr(from);
  const auto begins = [&](std::string_view source) { return value.starts_with(source); };
  if (program_ == "openssl" && std::ranges::any_of(kElsewhere, begins)) return;
  if (program_ == "openssl" && value.starts_with("pass:")) from += 5;
  hide(from, end_of_value(token, from));
}

// user:password@host. In a part without slash or space: from the first colon to the last at sign.
void Redactor::redact_userinfo(Token token) {
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

// The end of a value: of its word, if the token begins one; in a script, its closing quote, or else
// the end of the token.
size_t Redactor::end_of_value(Token token, size_t from) const {
  const size_t word = std::min(args_.find('\0', from), args_.size());
  if (token.whole) return word;
  if (token.quote != 0) return std::min(args_.find(token.quote, from), word);
  if (from < word && is_quote(args_[from])) {
    const size_t close = args_.find(args_[from], from + 1);
    return close < word ? close + 1 : word;
  }
  return token.end;
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
