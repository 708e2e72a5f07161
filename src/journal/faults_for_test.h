// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Lets the calls that SQLite makes fail or wait: a VFS around that of the system, and an allocator
// around malloc(3).
#pragma once

#include <sqlite3.h>

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>

namespace knell::journal {

enum class Fault { kIo, kDiskFull, kAllocation };

class Faults {
 public:
  // Installs both for all databases that are opened while it lives. There is only one at a time,
  // and no database may be open at its beginning and end.
  Faults() {
    here_ = this;
    sqlite3_shutdown();
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);  // every allocation is seen
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &malloc_);
    sqlite3_mem_methods methods = malloc_;
    methods.xMalloc = [](int bytes) {
      return here_->fails(Fault::kAllocation) ? nullptr : here_->malloc_.xMalloc(bytes);
    };
    methods.xRealloc = [](void* old, int bytes) {
      return here_->fails(Fault::kAllocation) ? nullptr : here_->malloc_.xRealloc(old, bytes);
    };
    sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
    sqlite3_initialize();
    system_ = sqlite3_vfs_find(nullptr);
    vfs_ = *system_;
    vfs_.zName = "faulty";
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + system_->szOsFile;
    vfs_.pAppData = system_;
    vfs_.xOpen = &Faults::open;
    sqlite3_vfs_register(&vfs_, 1);
  }
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;
  ~Faults() {
    release();
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_shutdown();
    sqlite3_config(SQLITE_CONFIG_MALLOC, &malloc_);
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 1200, 40);  // SQLite's defaults
    sqlite3_initialize();
    here_ = nullptr;
  }

  // The n-th call from now on fails, and, with `for_good`, all that follow.
  void arm(Fault fault, int n, bool for_good) {
    const std::lock_guard lock(mutex_);
    fault_ = fault;
    left_ = n;
    for_good_ = for_good;
    armed_ = true;
    fired_ = false;
  }
  // Returns whether a call has failed.
  bool disarm() {
    const std::lock_guard lock(mutex_);
    armed_ = false;
    return fired_;
  }

  // From now on, calls that write wait.
  void stall() {
    const std::lock_guard lock(mutex_);
    stalled_ = true;
  }
  void wait_until_stalled() {
    std::unique_lock lock(mutex_);
    change_.wait(lock, [&] { return waiting_ > 0; });
  }
  void release() {
    const std::lock_guard lock(mutex_);
    stalled_ = false;
    change_.notify_all();
  }

 private:
  struct File : sqlite3_file {
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static sqlite3_file* real(sqlite3_file* file) { return static_cast<File*>(file)->real(); }

  bool fails(Fault fault) {
    const std::lock_guard lock(mutex_);
    if (!armed_ || fault != fault_ || (--left_ > 0) || (left_ < 0 && !for_good_)) return false;
    fired_ = true;
    return true;
  }
  void wait_for_disk() {
    std::unique_lock lock(mutex_);
    if (!stalled_) return;
    ++waiting_;
    change_.notify_all();
    change_.wait(lock, [&] { return !stalled_; });
    --waiting_;
  }

  static int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* ret_flags) {
    file->pMethods = nullptr;
    if (here_->fails(Fault::kIo)) return SQLITE_CANTOPEN;
    const int result = here_->system_->xOpen(here_->system_, name, real(file), flags, ret_flags);
    if (real(file)->pMethods != nullptr) file->pMethods = &kMethods;
    return result;
  }
  // A call that fails is not made.
  template <auto Method, int Failure, class... Arguments>
  static int forward(sqlite3_file* file, Arguments... arguments) {
    if constexpr (Failure != SQLITE_OK)
      if (here_->fails(Fault::kIo)) return Failure;
    return (real(file)->pMethods->*Method)(real(file), arguments...);
  }
  // One that fails has written a half.
  static int write(sqlite3_file* file, const void* bytes, int count, sqlite3_int64 at) {
    here_->wait_for_disk();
    const bool full = here_->fails(Fault::kDiskFull);
    if (!full && !here_->fails(Fault::kIo))
      return real(file)->pMethods->xWrite(real(file), bytes, count, at);
    (void)real(file)->pMethods->xWrite(real(file), bytes, count / 2, at);
    return full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
  }
  static int sync(sqlite3_file* file, int flags) {
    here_->wait_for_disk();
    return forward<&sqlite3_io_methods::xSync, SQLITE_IOERR_FSYNC>(file, flags);
  }
  // A lock can always be given back.
  static int shm_lock(sqlite3_file* file, int first, int count, int flags) {
    if ((flags & SQLITE_SHM_UNLOCK) == 0 && here_->fails(Fault::kIo)) return SQLITE_IOERR_SHMLOCK;
    return real(file)->pMethods->xShmLock(real(file), first, count, flags);
  }
  static void barrier(sqlite3_file* file) { real(file)->pMethods->xShmBarrier(real(file)); }

  using M = sqlite3_io_methods;
  inline static const sqlite3_io_methods kMethods = {
      .iVersion = 3,
      .xClose = &forward<&M::xClose, SQLITE_OK>,
      .xRead = &forward<&M::xRead, SQLITE_IOERR_READ, void*, int, sqlite3_int64>,
      .xWrite = &write,
      .xTruncate = &forward<&M::xTruncate, SQLITE_IOERR_TRUNCATE, sqlite3_int64>,
      .xSync = &sync,
      .xFileSize = &forward<&M::xFileSize, SQLITE_IOERR_FSTAT, sqlite3_int64*>,
      .xLock = &forward<&M::xLock, SQLITE_IOERR_LOCK, int>,
      .xUnlock = &forward<&M::xUnlock, SQLITE_OK, int>,
      .xCheckReservedLock = &forward<&M::xCheckReservedLock, SQLITE_OK, int*>,
      .xFileControl = &forward<&M::xFileControl, SQLITE_OK, int, void*>,
      .xSectorSize = &forward<&M::xSectorSize, SQLITE_OK>,
      .xDeviceCharacteristics = &forward<&M::xDeviceCharacteristics, SQLITE_OK>,
      .xShmMap = &forward<&M::xShmMap, SQLITE_IOERR_SHMMAP, int, int, int, void volatile**>,
      .xShmLock = &shm_lock,
      .xShmBarrier = &barrier,
      .xShmUnmap = &forward<&M::xShmUnmap, SQLITE_OK, int>,
      .xFetch = &forward<&M::xFetch, SQLITE_OK, sqlite3_int64, int, void**>,
      .xUnfetch = &forward<&M::xUnfetch, SQLITE_OK, sqlite3_int64, void*>,
  };

  inline static Faults* here_ = nullptr;
  sqlite3_mem_methods malloc_{};
  sqlite3_vfs* system_ = nullptr;
  sqlite3_vfs vfs_{};
  std::mutex mutex_;
  std::condition_variable change_;
  Fault fault_ = Fault::kIo;
  int left_ = 0;
  bool armed_ = false, for_good_ = false, fired_ = false;
  bool stalled_ = false;
  int waiting_ = 0;
};

}  // namespace knell::journal
