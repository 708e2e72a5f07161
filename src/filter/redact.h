// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace knell::filter {

// Makes secrets in arguments unreadable, as far as their form tells that they are some:
//
//   --password X, --db-password=X       a flag whose name ends with password, passwd, passphrase,
//                                       pwd, secret, token, api-key, apikey, access-key, secret-key
//   PGPASSWORD=X                        an assignment to such a name
//   user:X@host, scheme://user:X@host   a password before an at sign
//   Authorization: X                    in a header
//   mysql -pX, sshpass -p X, curl -u user:X, and their like
//
// also inside of one word, as in `sh -c '...'`. What is secret becomes `***`. Not thread-safe.
class Redactor {
 public:
  // `flags`: others whose value is secret, with their dashes; `except`: of the usual ones, those
  // that are not ("--token").
  explicit Redactor(std::vector<std::string> flags = {}, std::vector<std::string> except = {})
      : flags_(std::move(flags)), except_(std::move(except)) {}
  static Redactor none();

  // `args`: words, each with a NUL behind it. nullopt: nothing in them is secret. Good until the
  // next call.
  std::optional<std::string_view> redact(std::string_view args);

 private:
  struct Token {
    size_t begin, end;
  };
  enum class Next { kPlain, kSecret, kUserAndSecret };

  std::optional<Token> next_token(size_t from) const;
  Next judge(Token token);
  bool is_secret_flag(std::string_view name) const;
  void judge_value(Token token, size_t from);
  void judge_userinfo(Token token);
  size_t end_of_value(size_t from, size_t end) const;
  void hide(size_t begin, size_t end);

  bool on_ = true;
  std::vector<std::string> flags_, except_;
  std::string_view args_, program_;
  std::string out_;
  size_t copied_ = 0;  // of args_, into out_
  bool hidden_ = false;
};

}  // namespace knell::filter
