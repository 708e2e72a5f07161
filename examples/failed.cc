#include <iostream>
#include <knell/knell.hpp>

int main() try {
  knell::Options options;
  options.events = KNELL_EVENT_NONZERO_EXIT;
  knell::Listener listener(options);
  std::error_code error;
  for (const knell_event& e : listener.events(error)) {
    if (e.type == KNELL_EVENT_LOST)
      std::cout << "some exits were lost\n";
    else
      std::cout << e.pid << ' ' << knell::view(e.comm) << ": " << knell::ended(e) << '\n';
    if (!std::cout.flush()) return 1;
  }
  return std::cerr << knell::explain() << '\n', 1;
} catch (const knell::OpenError& error) {
  return std::cerr << error.what() << '\n', 3;
}
