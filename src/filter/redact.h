// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace knell::filter {

// Replaces secrets in arguments by `***`, where their form shows that they are secrets:
//
//   --password X, --db-password=X       a flag, of two dashes or one, whose name ends with
//                                       password, passwd, passphrase, pass, pwd, secret, token,
//                                       api-key, apikey, access-key, secret-key
//   PGPASSWORD=X                        an assignment to such a name; also --set db.password=X
//   user:X@host, scheme://user:X@host   a password before an at sign
//   Authorization: X, X-Auth-Token: X   in a header
//   pass:X                              as openssl takes it
//   mysql -pX, sshpass -p X, curl -u user:X, curl -su user:X, and similar programs
//
// This works inside a word too, as in `sh -c '...'`, where blanks and quotes end a secret. If the
// flag or assignment begins a word, the secret extends to the end of that word. Not thread-safe.
class Redactor {
 public:
  // `flags`: more flags with a secret value, with their dashes; `except`: flags and names that are
  // not secret ("--token").
  explicit Redactor(std::vector<std::string> flags = {}, std::vector<std::string> except = {})
      : flags_(std::move(flags)), except_(std::move(except)) {}
  static Redactor none();

  // `args`: words, each followed by a NUL. nullopt: no secret in them. The result is valid until
  // the next call.
  std::optional<std::string_view> redact(std::string_view args);

 private:
  struct Token {
    size_t begin, end;
    bool whole = false;  // the token begins a word, which is not a script
    char quote = 0;      // the quote character before the token
  };
  enum class Next { kPlain, kSecret, kUserAndSecret };

  std::optional<Token> next_token(size_t from);
  void update_program(Token token);
  Next redact_token(Token token);
  Next redact_flag(Token token, std::string_view text);
  bool redact_header(Token token, std::string_view text);
  bool redact_assignments(Token token, std::string_view text);
  void redact_userinfo(Token token);
  void redact_logon(Token token, std::string_view text);
  bool is_secret_flag(std::string_view name) const;
  bool takes_value(std::string_view flag) const;
  Next known_flag(std::string_view flag) const;
  size_t length_of_flag(std::string_view text) const;
  void hide_value(Next kind, Token token, size_t from);
  size_t end_of_value(Token token, size_t from) const;
  void hide(size_t begin, size_t end);

  bool on_ = true;
  std::vector<std::string> flags_, except_;
  std::string_view args_, program_;
  bool shell_ = false, script_follows_ = false;
  std::string out_;
  size_t copied_ = 0;  // bytes of args_ copied to out_
  bool hidden_ = false;
};

}  // namespace knell::filter
