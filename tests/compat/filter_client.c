// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// filter_client [-4] [MASK]: a client of the connector that is written as the kernel's own test of
// its filter: an 8-byte request (with -4 one of 4 bytes), bound to its process id, epoll and
// recv(). Prints an event a line, as plain_client does, and "listening" to standard error when its
// request was sent.
#define KNELL_CN_PROC_KERNEL_NAMES
#include <errno.h>
#include <knell/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
  struct nlmsghdr netlink;
  struct knell_cn_msg connector;
  struct proc_input input;
};

static int open_connector(void) {
  const int fd = socket(PF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR);
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
  const int room = 16 << 20;
  address.nl_pid = (unsigned)getpid();
  if (fd < 0 || bind(fd, (struct sockaddr*)&address, sizeof address) != 0) {
    perror("filter_client: the process connector");
    exit(1);
  }
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  return fd;
}

static void listen_for(int fd, int four, uint32_t mask) {
  struct request request;
  const size_t payload = four ? sizeof(uint32_t) : sizeof request.input;
  const size_t bytes = sizeof request.netlink + sizeof request.connector + payload;
  memset(&request, 0, sizeof request);
  request.netlink.nlmsg_len = (uint32_t)bytes;
  request.netlink.nlmsg_type = NLMSG_DONE;
  request.netlink.nlmsg_pid = (uint32_t)getpid();
  request.connector.idx = CN_IDX_PROC;
  request.connector.val = CN_VAL_PROC;
  request.connector.len = (uint16_t)payload;
  request.input.mcast_op = PROC_CN_MCAST_LISTEN;
  request.input.event_type = mask;
  if (send(fd, &request, bytes, 0) != (ssize_t)bytes) {
    perror("filter_client: send");
    exit(1);
  }
}

static void print_event(const char* datagram, ssize_t bytes) {
  struct knell_proc_event event;
  if (bytes < KNELL_CN_DATAGRAM_BYTES) return;
  memcpy(&event, datagram + sizeof(struct nlmsghdr) + sizeof(struct knell_cn_msg), sizeof event);
  switch (event.what) {
    case KNELL_EVENT_FORK:
      printf("fork %d\n", event.data.fork.child_pid);
      break;
    case KNELL_EVENT_EXEC:
      printf("exec %d\n", event.data.exec.process_pid);
      break;
    case KNELL_EVENT_UID:
      printf("uid %d %u\n", event.data.id.process_pid, event.data.id.e);
      break;
    case KNELL_EVENT_GID:
      printf("gid %d %u\n", event.data.id.process_pid, event.data.id.e);
      break;
    case KNELL_EVENT_SID:
      printf("sid %d\n", event.data.sid.process_pid);
      break;
    case KNELL_EVENT_COMM:
      printf("comm %d %.16s\n", event.data.comm.process_pid, event.data.comm.comm);
      break;
    case KNELL_EVENT_COREDUMP:
      printf("coredump %d\n", event.data.coredump.process_pid);
      break;
    case KNELL_EVENT_EXIT:
      printf("exit %d %u\n", event.data.exit.process_pid, event.data.exit.exit_code);
      break;
    default:
      break;  // acks, ptrace
  }
}

int main(int argc, char** argv) {
  const int four = argc > 1 && strcmp(argv[1], "-4") == 0;
  const uint32_t mask = argc > 1 && !four ? (uint32_t)strtoul(argv[1], NULL, 0) : PROC_EVENT_ALL;
  const int fd = open_connector();
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event readable = {.events = EPOLLIN, .data.fd = fd};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &readable) != 0) return 1;
  setlinebuf(stdout);
  listen_for(fd, four, mask);
  fputs("listening\n", stderr);
  for (;;) {
    char datagram[4096];
    struct sockaddr_nl sender;
    socklen_t size = sizeof sender;
    if (epoll_wait(epoll, &readable, 1, -1) != 1) continue;
    const ssize_t bytes =
        recvfrom(fd, datagram, sizeof datagram, 0, (struct sockaddr*)&sender, &size);
    if (bytes < 0 && errno == ENOBUFS) {
      printf("lost\n");
      continue;
    }
    if (bytes <= 0) {
      perror("filter_client: recv");
      return 1;
    }
    if (sender.nl_family == AF_NETLINK && sender.nl_pid == 0) print_event(datagram, bytes);
  }
}
