// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/top/terminal.h"

#define NCURSES_NOMACROS 1
#include <curses.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "cli/screen.h"
#include "cli/text.h"
#include "cli/tree_view.h"

namespace knell::cli {
namespace {

constexpr auto kPatience = std::chrono::seconds(1);  // chosen: how long to wait for a slow terminal

// A second open file description: O_NONBLOCK on that of standard output would apply to the shell,
// too. Without a path to open, writes may block.
Outcome<UniqueFd> open_terminal() {
  constexpr int kHow = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  std::array<char, 256> path{};
  UniqueFd fd;
  if (::ttyname_r(STDOUT_FILENO, path.data(), path.size()) == 0)
    fd.reset(::open(path.data(), kHow));
  if (!fd) fd.reset(::open("/dev/tty", kHow));
  if (!fd) fd.reset(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
  if (!fd) return failed("cannot open the terminal: {}", std::strerror(errno));
  return fd;
}

void set_modes(const termios& modes) {
  while (::tcsetattr(STDIN_FILENO, TCSANOW, &modes) != 0 && errno == EINTR) {
  }
}

termios key_modes(termios modes) {
  modes.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ECHONL);
  modes.c_cc[VMIN] = 1;
  modes.c_cc[VTIME] = 0;
  return modes;
}

struct ColourPair {
  short pair;
  attr_t attributes;
};

ColourPair pair_of(Colour colour, bool colours) {
  switch (colour) {
    case Colour::kNone:
      return {0, A_NORMAL};
    case Colour::kBold:
      return {0, A_BOLD};
    case Colour::kDim:
      return {0, colours ? A_DIM : A_NORMAL};
    case Colour::kRed:
      return {1, A_NORMAL};
    case Colour::kYellow:
      return {2, A_NORMAL};
    case Colour::kMagenta:
      return {3, A_NORMAL};
    case Colour::kCyan:
      return {4, A_NORMAL};
  }
  return {0, A_NORMAL};
}

KeyPress key_of(int code, wint_t value) {
  using Code = KeyPress::Code;
  if (code == KEY_CODE_YES) {
    switch (value) {
      case KEY_UP:
        return {Code::kUp, {}};
      case KEY_DOWN:
        return {Code::kDown, {}};
      case KEY_LEFT:
        return {Code::kLeft, {}};
      case KEY_RIGHT:
        return {Code::kRight, {}};
      case KEY_PPAGE:
        return {Code::kPageUp, {}};
      case KEY_NPAGE:
        return {Code::kPageDown, {}};
      case KEY_HOME:
        return {Code::kHome, {}};
      case KEY_END:
        return {Code::kEnd, {}};
      case KEY_ENTER:
        return {Code::kEnter, {}};
      case KEY_BACKSPACE:
        return {Code::kBackspace, {}};
      case KEY_DC:
        return {Code::kDelete, {}};
      default:
        return {Code::kOther, {}};
    }
  }
  constexpr wint_t kCtrlL = 12, kCtrlU = 21, kEscape = 27, kDelete = 127;
  switch (value) {
    case '\r':
    case '\n':
      return {Code::kEnter, {}};
    case '\t':
      return {Code::kTab, {}};
    case '\b':
    case kDelete:
      return {Code::kBackspace, {}};
    case kEscape:
      return {Code::kEscape, {}};
    case kCtrlL:
      return {Code::kRedraw, {}};
    case kCtrlU:
      return {Code::kEraseLine, {}};
    default:
      break;
  }
  if (value < ' ') return {Code::kOther, {}};
  std::array<char, 16> bytes{};
  std::mbstate_t state{};
  const size_t size = std::wcrtomb(bytes.data(), static_cast<wchar_t>(value), &state);
  if (size == static_cast<size_t>(-1)) return {Code::kOther, {}};
  return {Code::kText, std::string(bytes.data(), size)};
}

}  // namespace

struct Terminal::Curses {
  FILE* out = nullptr;
  SCREEN* screen = nullptr;
  bool colours = false;
};

Terminal::Terminal(UniqueFd out, UniqueFd memory, termios before, std::unique_ptr<Curses> curses)
    : out_(std::move(out)),
      memory_(std::move(memory)),
      before_(before),
      curses_(std::move(curses)),
      utf8_(is_utf8_locale()) {}

Terminal::Terminal(Terminal&&) noexcept = default;

Outcome<Terminal> Terminal::create() {
  termios before{};
  if (::isatty(STDOUT_FILENO) != 1 || ::tcgetattr(STDIN_FILENO, &before) != 0)
    return usage("knell top needs a terminal; knell watch --by comm counts processes without one");
  KNELL_ASSIGN(UniqueFd out, open_terminal());
  UniqueFd memory(::memfd_create("terminal", MFD_CLOEXEC));
  if (!memory) return failed("cannot create a file in memory: {}", std::strerror(errno));
  // In this locale ncurses writes UTF-8 unchanged. Where the terminal has none, all text is ASCII.
  std::setlocale(LC_CTYPE, "C.UTF-8");
  auto curses = std::make_unique<Curses>();
  curses->out = ::fdopen(::fcntl(memory.get(), F_DUPFD_CLOEXEC, 3), "w");
  if (curses->out == nullptr)
    return failed("cannot use a file in memory: {}", std::strerror(errno));
  curses->screen = ::newterm(nullptr, curses->out, stdin);
  if (curses->screen == nullptr) {
    const char* term = std::getenv("TERM");
    return failed("the terminal '{}' is not known here: set TERM to another, such as xterm",
                  term == nullptr ? std::string() : printable(std::string_view(term)));
  }
  // ncurses has set no modes, because what it writes to is no terminal.
  set_modes(key_modes(before));
  ::set_escdelay(25);
  ::typeahead(-1);
  ::keypad(stdscr, true);
  ::nodelay(stdscr, true);
  ::curs_set(0);
  if (Screen::of(STDOUT_FILENO).colour && ::has_colors() && ::start_color() == OK) {
    ::use_default_colors();
    constexpr std::array<short, 4> kColours{COLOR_RED, COLOR_YELLOW, COLOR_MAGENTA, COLOR_CYAN};
    for (size_t i = 0; i < kColours.size(); ++i)
      ::init_pair(static_cast<short>(i + 1), kColours[i], -1);
    curses->colours = true;
  }
  return Terminal(std::move(out), std::move(memory), before, std::move(curses));
}

Terminal::~Terminal() {
  if (!curses_) return;  // moved from
  suspend();
  ::delscreen(curses_->screen);
  (void)std::fclose(curses_->out);
}

int Terminal::input_fd() const { return STDIN_FILENO; }

std::optional<KeyPress> Terminal::read_key() {
  wint_t value = 0;
  const int code = ::get_wch(&value);
  if (code == ERR) return std::nullopt;
  return key_of(code, value);
}

Grid Terminal::grid() const {
  const Screen screen = Screen::of(STDOUT_FILENO);
  constexpr size_t kMost = 1000;  // chosen: a window that claims more is not believed
  return {std::clamp<size_t>(screen.rows, 1, kMost), std::clamp<size_t>(screen.columns, 1, kMost),
          utf8_};
}

void Terminal::show(const Grid& grid) {
  const auto rows = static_cast<int>(grid.rows());
  const auto columns = static_cast<int>(grid.columns());
  if (rows != ::getmaxy(stdscr) || columns != ::getmaxx(stdscr)) {
    ::resize_term(rows, columns);
    ::clearok(curscr, true);
  }
  ::werase(stdscr);
  for (size_t row = 0; row < grid.rows(); ++row) {
    for (const Grid::Text& text : grid.row(row)) {
      const ColourPair pair = pair_of(text.look.colour, curses_->colours);
      const attr_t attributes = pair.attributes | (text.look.reverse ? A_REVERSE : A_NORMAL);
      ::wattr_set(stdscr, attributes, curses_->colours ? pair.pair : short{0}, nullptr);
      ::wmove(stdscr, static_cast<int>(row), static_cast<int>(text.column));
      ::waddnstr(stdscr, text.bytes.data(), static_cast<int>(text.bytes.size()));
    }
  }
  ::wrefresh(stdscr);
  collect();
}

void Terminal::redraw() { ::clearok(curscr, true); }

// Takes what ncurses has written into the memory.
void Terminal::collect() {
  (void)std::fflush(curses_->out);
  struct stat about{};
  if (::fstat(memory_.get(), &about) != 0 || about.st_size <= 0) return;
  bytes_.erase(0, std::exchange(written_, 0));
  const size_t before = bytes_.size();
  bytes_.resize(before + static_cast<size_t>(about.st_size));
  const ssize_t got = ::pread(memory_.get(), bytes_.data() + before, bytes_.size() - before, 0);
  bytes_.resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
  (void)!::ftruncate(memory_.get(), 0);
  // The descriptors share their position.
  (void)::lseek(memory_.get(), 0, SEEK_SET);
}

bool Terminal::write_pending() {
  while (pending()) {
    const ssize_t n = ::write(out_.get(), bytes_.data() + written_, bytes_.size() - written_);
    if (n > 0) {
      written_ += static_cast<size_t>(n);
    } else if (errno == EAGAIN) {
      return true;
    } else if (errno != EINTR) {
      return false;
    }
  }
  bytes_.clear();
  written_ = 0;
  return true;
}

void Terminal::finish_writing() {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (write_pending() && pending()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return;
    pollfd fd{out_.get(), POLLOUT, 0};
    ::poll(&fd, 1, static_cast<int>(left.count()));
  }
}

bool Terminal::in_foreground() const {
  const pid_t group = ::tcgetpgrp(STDIN_FILENO);
  return group < 0 || group == ::getpgrp();  // below 0: not the controlling terminal
}

void Terminal::suspend() {
  if (!in_foreground()) return;
  ::endwin();
  collect();
  finish_writing();
  set_modes(before_);
}

void Terminal::resume() {
  if (!in_foreground()) return;
  set_modes(key_modes(before_));
  redraw();
}

}  // namespace knell::cli
