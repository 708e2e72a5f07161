// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <termios.h>

#include <memory>
#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "cli/failure.h"
#include "cli/top/grid.h"
#include "cli/top/key_press.h"

namespace knell::cli {

// The terminal of a program that takes the whole window. ncurses finds what has changed and reads
// the keys; its output goes to a file in memory first, and from there to the terminal as fast as
// that takes it, so a slow terminal never makes the program wait. At most one object a process; the
// signals of the terminal are the caller's.
//
//   create() -> { show(), write_pending(), read_key() }* -> suspend() -> resume() -> ... ->
//   destroyed
class Terminal {
 public:
  // Standard input and output must be a terminal.
  static Outcome<Terminal> create();
  Terminal(Terminal&&) noexcept;
  Terminal& operator=(Terminal&&) = delete;
  // Restores the terminal; waits for a slow one at most a second.
  ~Terminal();

  int input_fd() const;
  int output_fd() const { return out_.get(); }
  // nullopt: no key was pressed.
  std::optional<KeyPress> read_key();
  // An empty grid of the size that the window has now.
  Grid grid() const;
  // Shows the grid. To be called only if nothing is pending.
  void show(const Grid& grid);
  // Draws everything again with the next show().
  void redraw();
  bool pending() const { return written_ < bytes_.size(); }
  // Writes what the terminal takes. False: it is gone.
  bool write_pending();
  // Whether this process may use the terminal: it is not in the background.
  bool in_foreground() const;
  // Gives the terminal back to the shell, and takes it again.
  void suspend();
  void resume();

 private:
  struct Curses;
  Terminal(UniqueFd out, UniqueFd memory, termios before, std::unique_ptr<Curses> curses);
  void collect();
  void finish_writing();

  UniqueFd out_;     // the terminal, opened again to be non-blocking
  UniqueFd memory_;  // what ncurses writes
  termios before_;
  std::unique_ptr<Curses> curses_;
  std::string bytes_;  // of the last show()
  size_t written_ = 0;
  bool utf8_;
};

}  // namespace knell::cli
