// Prints the processes that are alive and pass a predicate, parents first: alive unit cron
#include <iostream>
#include <knell/knell.hpp>

int main(int argc, char** argv) {
  if (argc != 3) return std::cerr << "usage: alive KEY VALUE\n", 2;
  std::error_code error;
  auto listener = knell::Listener::open(knell::Options(), error);
  if (error) return std::cerr << knell_explain() << '\n', 3;
  error = listener.match(argv[1], argv[2]);
  if (!error)
    error = listener.snapshot([](const knell_event& e) {
      std::cout << e.pid << ' ' << knell::view(e.comm) << ' ' << knell::view(e.unit) << '\n';
    });
  if (error) std::cerr << knell_explain() << '\n';
  return error ? 1 : 0;
}
