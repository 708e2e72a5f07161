// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <iostream>
#include <knell/knell.hpp>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  knell::Options options;
  options.events = KNELL_EVENT_EXIT;
  options.via = KNELL_VIA_PIDFD;
  knell::Listener listener(options);
  std::error_code error = listener.add(std::atoi(argv[1]));
  if (error) return std::cerr << knell::explain() << '\n', 1;
  std::cout << "ready" << std::endl;
  const knell_event* event = listener.next(std::nullopt, error);
  if (event == nullptr) return std::cerr << knell::explain() << '\n', 1;
  std::cout << knell::json(*event) << '\n';
}
