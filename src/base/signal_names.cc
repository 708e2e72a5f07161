// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/signal_names.h"

#include <array>
#include <charconv>
#include <csignal>
#include <string>

#include "base/nearest.h"

namespace knell {
namespace {

constexpr int kCount = 128;  // a wait status has seven bits for the signal
// The C library uses signals 32 and 33 itself, so programs know 34 as SIGRTMIN; SIGRTMIN of
// <csignal> is a function call.
constexpr int kRtMin = 34, kRtMax = 64;

struct Named {
  int number;
  std::string_view name;
};
constexpr std::array<Named, 31> kNamed{{
    {SIGHUP, "SIGHUP"},   {SIGINT, "SIGINT"},       {SIGQUIT, "SIGQUIT"}, {SIGILL, "SIGILL"},
    {SIGTRAP, "SIGTRAP"}, {SIGABRT, "SIGABRT"},     {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},
    {SIGKILL, "SIGKILL"}, {SIGUSR1, "SIGUSR1"},     {SIGSEGV, "SIGSEGV"}, {SIGUSR2, "SIGUSR2"},
    {SIGPIPE, "SIGPIPE"}, {SIGALRM, "SIGALRM"},     {SIGTERM, "SIGTERM"}, {SIGSTKFLT, "SIGSTKFLT"},
    {SIGCHLD, "SIGCHLD"}, {SIGCONT, "SIGCONT"},     {SIGSTOP, "SIGSTOP"}, {SIGTSTP, "SIGTSTP"},
    {SIGTTIN, "SIGTTIN"}, {SIGTTOU, "SIGTTOU"},     {SIGURG, "SIGURG"},   {SIGXCPU, "SIGXCPU"},
    {SIGXFSZ, "SIGXFSZ"}, {SIGVTALRM, "SIGVTALRM"}, {SIGPROF, "SIGPROF"}, {SIGWINCH, "SIGWINCH"},
    {SIGIO, "SIGIO"},     {SIGPWR, "SIGPWR"},       {SIGSYS, "SIGSYS"},
}};
// Other names, accepted but never shown.
constexpr std::array<Named, 3> kAliases{
    {{SIGABRT, "SIGIOT"}, {SIGIO, "SIGPOLL"}, {SIGCHLD, "SIGCLD"}}};

using Text = std::array<char, 12>;  // "SIGRTMIN+29" and its NUL

constexpr Text join(std::string_view front, int number) {
  Text text{};
  size_t n = 0;
  for (const char c : front) text[n++] = c;
  if (number >= 100) text[n++] = static_cast<char>('0' + number / 100);
  if (number >= 10) text[n++] = static_cast<char>('0' + number / 10 % 10);
  if (number >= 0) text[n++] = static_cast<char>('0' + number % 10);
  return text;
}

constexpr std::array<Text, kCount> kNames = [] {
  std::array<Text, kCount> names{};
  for (int i = 1; i < kCount; i++) names[static_cast<size_t>(i)] = join("SIG", i);
  for (const Named& named : kNamed) names[static_cast<size_t>(named.number)] = join(named.name, -1);
  for (int i = kRtMin; i < kRtMax; i++) {
    names[static_cast<size_t>(i)] =
        i == kRtMin ? join("SIGRTMIN", -1) : join("SIGRTMIN+", i - kRtMin);
  }
  names[kRtMax] = join("SIGRTMAX", -1);
  return names;
}();

constexpr size_t kLongestWord = 15;

// `text` in capitals and without SIG; empty: it cannot be a name.
std::string_view stem(std::string_view text, std::array<char, kLongestWord>& buffer) {
  if (text.empty() || text.size() > buffer.size()) return {};
  for (size_t i = 0; i < text.size(); i++) {
    const char c = text[i];
    buffer[i] = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  std::string_view word(buffer.data(), text.size());
  if (word.starts_with("SIG")) word.remove_prefix(3);
  return word;
}

// The number, if `digits` is nothing but a number below kCount; else -1.
int number_of(std::string_view digits) {
  int number = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool whole = error == std::errc{} && end == digits.data() + digits.size();
  return whole && number >= 0 && number < kCount ? number : -1;
}

int real_time(std::string_view word) {
  const bool from_min = word.starts_with("RTMIN");
  if (!from_min && !word.starts_with("RTMAX")) return 0;
  const int base = from_min ? kRtMin : kRtMax;
  word.remove_prefix(5);
  if (word.empty()) return base;
  if (word.front() != (from_min ? '+' : '-')) return 0;
  const int step = number_of(word.substr(1));
  return step < 0 || step > kRtMax - kRtMin ? 0 : (from_min ? base + step : base - step);
}

// 0: no such name.
int find(std::string_view word) {
  if (word.empty()) return 0;
  for (const Named& named : kNamed) {
    if (named.name.substr(3) == word) return named.number;
  }
  for (const Named& alias : kAliases) {
    if (alias.name.substr(3) == word) return alias.number;
  }
  return real_time(word);
}

}  // namespace

const char* signal_name(int number) {
  return number >= 1 && number < kCount ? kNames[static_cast<size_t>(number)].data() : nullptr;
}

Result<int> parse_signal(std::string_view text) {
  std::array<char, kLongestWord> buffer;
  const std::string_view word = stem(text, buffer);
  if (const int number = number_of(word); number >= 1) return number;
  if (const int number = find(word); number != 0) return number;
  std::string sentence = "'" + std::string(text) + "' is not a signal";
  std::array<std::string_view, kNamed.size()> names;
  for (size_t i = 0; i < names.size(); i++) names[i] = kNamed[i].name.substr(3);
  if (const auto near = nearest(word, names); !near.empty()) {
    sentence += "; did you mean 'SIG" + std::string(near) + "'?";
  } else {
    sentence += " (a name like SIGKILL or a number from 1 to 127)";
  }
  return say(EINVAL, std::move(sentence));
}

bool looks_like_signal(std::string_view text) {
  std::array<char, kLongestWord> buffer;
  const std::string_view word = stem(text, buffer);
  return !word.empty() && (word.size() + 3 == text.size() || find(word) != 0);
}

}  // namespace knell
