// The network of some hosts, for kernels without netem: `link HOSTS BITS_PER_SECOND SECONDS`. Makes the devices rank0,
// rank1, … (TAP), prints a line, and forwards frames between them. Each host sends and receives at a limited rate, 0
// for no limit, with a delay. Frames are as large as TCP makes them, and count with the headers of their segments.
// Nothing is lost: a host whose wire is busy is not read from.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <utility>
#include <vector>

namespace {

constexpr size_t kHeader = 10 /* virtio_net_hdr, whose header is not C++ */, kSegment = 1448, kOverhead = 90,
                 kLargest = 70000;
constexpr double kWaiting = 1e-3;  // seconds of frames that may wait for a host's wire

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

struct Frame {
  double due;
  std::vector<char> bytes;
};

struct Host {
  int fd = -1;
  double sends = 0, receives = 0;  // until when its wire is busy
  std::deque<Frame> coming;
};

int openDevice(int number) {
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  std::snprintf(request.ifr_name, IFNAMSIZ, "rank%d", number);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0 ||
      ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0) {
    std::perror("link: /dev/net/tun");
    _exit(1);
  }
  return fd;
}

}  // namespace

int main(int, char** argv) {
  const double rate = std::atof(argv[2]), delay = std::atof(argv[3]);
  std::vector<Host> hosts(std::atoi(argv[1]));
  for (size_t i = 0; i < hosts.size(); i++) hosts[i].fd = openDevice(static_cast<int>(i));
  prctl(PR_SET_TIMERSLACK, 1);
  const sched_param first{1};
  sched_setscheduler(0, SCHED_FIFO, &first);  // a network does not wait for a processor that hosts are using
  std::puts("ready");
  std::fflush(stdout);
  std::vector<char> buffer(kLargest);
  const auto send = [&](Host& from, Host& to, ssize_t size) {
    const ssize_t segments = size / kSegment + 1;
    const double bits = 8.0 * (size + segments * kOverhead);
    const double takes = rate > 0 ? bits / rate : 0;
    from.sends = std::max(from.sends, now()) + takes;
    to.receives = std::max(from.sends, to.receives + takes);
    to.coming.push_back({to.receives + delay, {buffer.begin(), buffer.begin() + size}});
  };
  for (;;) {
    const double time = now();
    double next = time + 1;
    std::vector<pollfd> polled;
    for (Host& host : hosts) {
      while (!host.coming.empty() && host.coming.front().due <= time) {
        const auto& bytes = host.coming.front().bytes;
        if (write(host.fd, bytes.data(), bytes.size()) < 0) {
        }  // a device that is not up yet
        host.coming.pop_front();
      }
      if (!host.coming.empty()) next = std::min(next, host.coming.front().due);
      const bool isBusy = host.sends - time > kWaiting;
      if (isBusy) next = std::min(next, host.sends - kWaiting);
      polled.push_back({host.fd, static_cast<short>(isBusy ? 0 : POLLIN), 0});
    }
    const double wait = std::max(0.0, next - now());
    const timespec timeout{static_cast<time_t>(wait), static_cast<long>((wait - static_cast<time_t>(wait)) * 1e9)};
    if (ppoll(polled.data(), polled.size(), &timeout, nullptr) < 0) return 1;
    for (size_t i = 0; i < hosts.size(); i++) {
      if (!(polled[i].revents & POLLIN)) continue;
      const ssize_t size = read(hosts[i].fd, buffer.data(), buffer.size());
      if (size <= static_cast<ssize_t>(kHeader)) continue;
      const unsigned char target = buffer[kHeader + 5];  // the address ends with the number of the host
      for (size_t to = 0; to < hosts.size(); to++)
        if (to != i && (target == 0xff || target == to + 1)) send(hosts[i], hosts[to], size);
    }
  }
}
