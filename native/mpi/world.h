// The ranks of an MPI job, as a separate Node addon that is compiled on demand with the machine's MPI.
//
// One thread makes all MPI calls (MPI_THREAD_FUNNELED), from MPI_Init to MPI_Finalize. It processes operations in the
// order in which JavaScript requests them, and receives messages of other ranks between them. Consecutive reductions
// overlap, so that on slow links only the first one waits for an answer. The thread sleeps while it waits for the
// network, because computation needs the cores.
#pragma once
#define NAPI_VERSION 8
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>
#include <node_api.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "reduction.h"

namespace simdformer {

using Clock = std::chrono::steady_clock;

enum Tag : int { kAlive = 1, kFailed = 2 };

class World {
 public:
  World(napi_env env, double seconds) : seconds_(seconds) {
    napi_value name;
    napi_create_string_utf8(env, "simdformer.mpi", NAPI_AUTO_LENGTH, &name);
    napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, told, &done_);
    napi_unref_threadsafe_function(env, done_);
    ticked_ = now();
    thread_ = std::thread([this] { work(); });
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait(lock, [this] { return rank_ >= 0 || !failure_.empty(); });
  }

  int rank() const { return rank_; }
  int size() const { return size_; }
  std::string failure() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return failure_;
  }

  // Called while the event loop runs.
  void tick() { ticked_ = now(); }

  void post(napi_env env, Operation* operation) {
    if (pending_++ == 0) napi_ref_threadsafe_function(env, done_);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      queue_.push_back(operation);
    }
    wake_.notify_all();
  }

  // Tells all others that this rank has failed. The first reason counts: the end of the process gives another one.
  void fail(std::string reason) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (closing_ || isFailed_) return;
      said_ = std::move(reason);
      isFailed_ = true;
    }
    wake_.notify_all();
  }

  // Waits until all ranks have arrived here. If anything has failed, ends the whole job.
  void close() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (closing_) return;
      closing_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

 private:
  static double now() { return std::chrono::duration<double>(Clock::now().time_since_epoch()).count(); }

  void work() {
    int provided, isThere = 0;
    MPI_Initialized(&isThere);
    if (isThere || MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
      begin(-1, 0, isThere ? "MPI was initialised in this process before" : "MPI_Init failed");
      return;
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_dup(MPI_COMM_WORLD, &control_);
    MPI_Comm_dup(MPI_COMM_WORLD, &comm_);
    MPI_Comm_dup(MPI_COMM_WORLD, &sums_);
    int rank, size;
    MPI_Comm_rank(comm_, &rank);
    MPI_Comm_size(comm_, &size);
    heard_ = listened_ = now();
    begin(rank, size, "");
    while (Operation* operation = next()) {
      if (operation->kind == Operation::kReduce) {
        reduce(*operation);
        continue;
      }
      run(*operation);
      tell(operation);
    }
    end();
  }

  void tell(Operation* operation) { napi_call_threadsafe_function(done_, operation, napi_tsfn_blocking); }

  void begin(int rank, int size, const char* failure) {
    const std::lock_guard<std::mutex> lock(mutex_);
    rank_ = rank, size_ = size, failure_ = failure;
    wake_.notify_all();
  }

  // Returns the next operation, or null when there are no more. Reductions proceed meanwhile, because all other ranks
  // wait for them.
  Operation* next() {
    for (int turn = 0;; turn++) {
      if (turn % 64 == 0) listen();
      if (advance()) turn = 0;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        const bool isFree = reductions_.empty();
        if (isFree) {
          wake_.wait_for(lock, std::chrono::milliseconds(20),
                         [this] { return !queue_.empty() || closing_ || isFailed_; });
          turn = -1;
        }
        if (!queue_.empty()) {
          Operation* operation = queue_.front();
          if (isFree || (operation->kind == Operation::kReduce && reductions_.size() < kReductions)) {
            queue_.pop_front();
            return operation;
          }
        } else if (isFree) {
          if (closing_) return nullptr;
          if (isFailed_ && isTold_) wake_.wait_for(lock, std::chrono::milliseconds(20));
        }
      }
      if (!reductions_.empty()) pause(turn);
    }
  }

  static void pause(int turn) {
    if (turn > 200) std::this_thread::sleep_for(std::chrono::microseconds(turn > 2000 ? 100 : 20));
  }

  void run(Operation& operation) {
    switch (operation.kind) {
      case Operation::kExchange:
        return exchange(operation);
      case Operation::kReduce:
        return;  // it proceeds in parallel with other operations
      case Operation::kBroadcast:
        return broadcast(operation);
      case Operation::kAllGather:
        return allGather(operation);
    }
  }

  // Waits for a request, and receives messages of other ranks meanwhile. Returns false if a rank has failed;
  // operation.error then has the reason.
  bool await(MPI_Request& request, Operation& operation) {
    for (int turn = 0;; turn++) {
      int isDone = 0;
      if (MPI_Test(&request, &isDone, MPI_STATUS_IGNORE) != MPI_SUCCESS) operation.error = "MPI reports an error";
      if (isDone) return true;
      if (turn % 64 == 0) listen();
      if (operation.error.empty()) operation.error = trouble();
      if (!operation.error.empty()) return false;  // the request is left to MPI_Abort
      pause(turn);
    }
  }

  // Returns the reason why operations cannot proceed, or an empty string.
  std::string trouble() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return failure_.empty() && isFailed_ ? "this rank has failed: " + said_ : failure_;
  }

  // Receives messages of other ranks, and tells the next rank that this one is alive.
  void listen() {
    if (size_ < 2) return;
    const double time = now();
    if (time - listened_ > 2) heard_ += time - listened_;  // the machine slept, or the whole job was suspended
    listened_ = time;
    const bool moves = closing_ || time - ticked_ < seconds_;
    if (moves && !isOver_ && time - told_at_ > 0.5) {
      static const char nothing = 0;
      MPI_Request request;
      MPI_Isend(&nothing, 0, MPI_CHAR, (rank_ + 1) % size_, kAlive, control_, &request);
      MPI_Request_free(&request);
      told_at_ = time;
    }
    tellFailure();
    for (;;) {
      int isThere = 0;
      MPI_Status status;
      MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, control_, &isThere, &status);
      if (!isThere) break;
      int length = 0;
      MPI_Get_count(&status, MPI_CHAR, &length);
      std::string text(length, '\0');
      MPI_Recv(text.data(), length, MPI_CHAR, status.MPI_SOURCE, status.MPI_TAG, control_, MPI_STATUS_IGNORE);
      if (status.MPI_TAG == kAlive)
        heard_ = now();
      else
        set("rank " + std::to_string(status.MPI_SOURCE) + " has failed: " + text);
    }
    const int before = (rank_ + size_ - 1) % size_;
    if (now() - heard_ > seconds_)
      set("rank " + std::to_string(before) + " has not been heard of for " +
          std::to_string(static_cast<int>(seconds_)) + " s");
  }

  // Tells all ranks, once, that this rank has failed or has noticed another one's failure.
  void tellFailure() {
    std::string text;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!isFailed_ || isTold_) return;
      isTold_ = true;
      text_ = text = said_;
    }
    for (int rank = 0; rank < size_; rank++) {
      if (rank == rank_) continue;
      MPI_Request request;
      MPI_Isend(text_.data(), static_cast<int>(text_.size()), MPI_CHAR, rank, kFailed, control_, &request);
      MPI_Request_free(&request);
    }
  }

  void set(const std::string& failure) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (failure_.empty()) failure_ = failure;
  }

  // Exchanges bytes: every rank receives those of all ranks, by rank.
  void exchange(Operation& operation) {
    int length = static_cast<int>(operation.bytes);
    operation.lengths.resize(size_);
    MPI_Request request;
    MPI_Iallgather(&length, 1, MPI_INT, operation.lengths.data(), 1, MPI_INT, comm_, &request);
    if (!await(request, operation)) return;
    std::vector<int> starts(size_);
    int64_t total = 0;
    for (int rank = 0; rank < size_; rank++) starts[rank] = static_cast<int>(total), total += operation.lengths[rank];
    if (total > INT32_MAX) {
      operation.error = "more than 2 GiB are exchanged at once";
      return;
    }
    operation.result.resize(total);
    MPI_Iallgatherv(operation.data, length, MPI_CHAR, operation.result.data(), operation.lengths.data(), starts.data(),
                    MPI_CHAR, comm_, &request);
    await(request, operation);
  }

  void broadcast(Operation& operation) {
    constexpr size_t kMax = 1 << 30;
    for (size_t at = 0; at < operation.bytes; at += kMax) {
      MPI_Request request;
      const int count = static_cast<int>(std::min(kMax, operation.bytes - at));
      MPI_Ibcast(operation.data + at, count, MPI_CHAR, operation.root, comm_, &request);
      if (!await(request, operation)) return;
    }
  }

  // Gathers the parts of all ranks in place.
  void allGather(Operation& operation) {
    std::vector<int> starts(size_);
    for (int rank = 1; rank < size_; rank++) starts[rank] = starts[rank - 1] + operation.lengths[rank - 1];
    MPI_Request request;
    MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_FLOAT, operation.data, operation.lengths.data(), starts.data(), MPI_FLOAT,
                    comm_, &request);
    await(request, operation);
  }

  static constexpr size_t kReductions = 4;

  void reduce(Operation& operation) {
    if (spare_.empty()) spare_.push_back(std::make_unique<Reduction>(rank_, size_));
    reductions_.push_back(std::move(spare_.back()));
    spare_.pop_back();
    reductions_.back()->start(operation, comm_);
  }

  // Returns true if a reduction has proceeded.
  bool advance() {
    if (reductions_.empty()) return false;
    std::string error = trouble();
    bool hasMoved = false, gathersAll = true;
    for (const auto& reduction : reductions_) {
      int isThere = reduction->isDone;
      if (!isThere && MPI_Test(&reduction->request, &isThere, MPI_STATUS_IGNORE) != MPI_SUCCESS)
        error = "MPI reports an error";
      // Sums are gathered in the order of reductions, as on all other ranks.
      if (isThere && !reduction->isDone && (reduction->isGathering || gathersAll)) {
        hasMoved = true;
        if (reduction->isGathering || !reduction->gather(sums_)) reduction->finish();
      }
      gathersAll &= reduction->isGathering || reduction->isDone;
    }
    if (!error.empty()) {
      for (auto& reduction : reductions_) {
        reduction->operation->error = error;
        tell(reduction->operation);
        lost_.push_back(std::move(reduction));  // its requests are left to MPI_Abort
      }
      reductions_.clear();
      return true;
    }
    for (; !reductions_.empty() && reductions_.front()->isDone; reductions_.pop_front()) {
      tell(reductions_.front()->operation);
      spare_.push_back(std::move(reductions_.front()));
    }
    return hasMoved;
  }

  // A world that has failed cannot be finalised: MPI_Abort ends the work of other ranks.
  void end() {
    listen();
    Operation barrier(Operation::kExchange);
    MPI_Request request;
    bool isWell = true;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      isWell = failure_.empty() && !isFailed_;
    }
    if (isWell) MPI_Ibarrier(comm_, &request);
    if (isWell && await(request, barrier)) {
      isOver_ = true;  // no rank waits for signs of life now. MPI complains about messages that are never received
      MPI_Ibarrier(comm_, &request);
      if (await(request, barrier)) {
        listen();
        MPI_Finalize();
        return;
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(500));  // other ranks write their messages
    MPI_Abort(MPI_COMM_WORLD, 1);
  }

  static void told(napi_env env, napi_value, void* context, void* data);

  const double seconds_;
  int rank_ = -1, size_ = 0;
  MPI_Comm comm_ = MPI_COMM_NULL, sums_ = MPI_COMM_NULL, control_ = MPI_COMM_NULL;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Operation*> queue_;
  napi_threadsafe_function done_ = nullptr;
  int pending_ = 0;  // used on the JavaScript thread
  std::atomic<bool> closing_ = false;
  bool isFailed_ = false, isTold_ = false, isOver_ = false;
  std::string failure_;  // failure of another rank
  std::string said_;     // failure of this rank
  std::string text_;     // text that is being sent to other ranks
  std::atomic<double> ticked_;
  double heard_ = 0, told_at_ = 0, listened_ = 0;
  std::deque<std::unique_ptr<Reduction>> reductions_;
  std::vector<std::unique_ptr<Reduction>> spare_, lost_;
};

}  // namespace simdformer
