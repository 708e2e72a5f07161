#include <knell/knell.hpp>
#include <poll.h>
#include <cerrno>
#include <iostream>

int main() {
  knell::Options options;
  options.events = KNELL_EVENT_NONZERO_EXIT;
  std::error_code error;
  auto listener = knell::Listener::open(options, error);
  if (error) return std::cerr << knell_explain() << '\n', 3;
  pollfd ready{listener.fd(), POLLIN, 0};
  const knell_event* events[64];
  while (!error && std::cout.flush()) {
    if (poll(&ready, 1, -1) < 0 && errno != EINTR) return std::cerr << "poll failed\n", 1;
    for (const auto* e : listener.read(events, error)) {
      if (e->type == KNELL_EVENT_LOST)
        std::cout << "some exits were lost\n";
      else
        std::cout << e->pid << ' ' << knell::view(e->comm) << ": " << knell::ended(*e) << '\n';
    }
  }
  if (error) std::cerr << knell_explain() << '\n';
  return 1;
}
