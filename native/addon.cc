// The engine's methods for Node, by N-API. Adding an op does not change this file.
#include <napi.h>

#include <condition_variable>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine.h"
#include "priority.h"

namespace simdformer {
namespace {

Napi::Value toJs(Napi::Env env, const Failure& failure) {
  if (failure.reason.empty()) return env.Null();
  Napi::Object object = Napi::Object::New(env);
  object.Set("index", static_cast<double>(failure.index));
  object.Set("name", failure.name);
  object.Set("reason", failure.reason);
  return object;
}

// A thread that runs the command lists of one device in order, so that the event loop does not wait for them.
class Runner : public std::enable_shared_from_this<Runner> {
 public:
  Runner(Napi::Env env, std::shared_ptr<Engine> engine) : env_(env), engine_(std::move(engine)) {
    done_ = Napi::ThreadSafeFunction::New(env, Napi::Function(), "simdformer.runAsync", 0, 1);
    done_.Unref(env);
    // When Node ends it destroys `done_` before this, and calls hooks before both.
    napi_add_env_cleanup_hook(env_, stop, this);
    startThread(thread_, [this] { work(); });  // without it, the calling thread runs the posted tasks
  }

  ~Runner() {
    if (stopping_) return;
    napi_remove_env_cleanup_hook(env_, stop, this);
    stop(this);
  }

  Napi::Value post(Napi::Env env, const uint32_t* words, size_t count) {
    if (!thread_.joinable()) {
      const auto deferred = Napi::Promise::Deferred::New(env);
      deferred.Resolve(toJs(env, engine_->run(words, count)));
      return deferred.Promise();
    }
    auto* task = new Task{std::move(spare_), Napi::Promise::Deferred::New(env), {}, weak_from_this()};
    task->words.assign(words, words + count);
    const Napi::Value promise = task->deferred.Promise();
    if (pending_++ == 0) done_.Ref(env);  // a run in progress keeps the process alive
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      tasks_.push_back(task);
    }
    wake_.notify_one();
    return promise;
  }

  // Waits until all posted tasks have run.
  void drain() {
    std::unique_lock<std::mutex> lock(mutex_);
    idle_.wait(lock, [&] { return tasks_.empty() && !busy_; });
  }

 private:
  struct Task {
    std::vector<uint32_t> words;
    Napi::Promise::Deferred deferred;
    Failure failure;
    std::weak_ptr<Runner> runner;  // gone if the engine was closed before the event loop received the result
  };

  static void stop(void* self) {
    Runner& runner = *static_cast<Runner*>(self);
    {
      const std::lock_guard<std::mutex> lock(runner.mutex_);
      runner.stopping_ = true;
    }
    runner.wake_.notify_one();
    if (runner.thread_.joinable()) runner.thread_.join();
    runner.done_.Release();
  }

  void work() {
    if (engine_->priority() == Priority::kBackground) lowerPriority();
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return stopping_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      Task* task = tasks_.front();
      tasks_.pop_front();
      busy_ = true;
      lock.unlock();
      task->failure = engine_->run(task->words.data(), task->words.size());
      lock.lock();
      busy_ = false;
      idle_.notify_all();
      lock.unlock();
      done_.BlockingCall(task, [](Napi::Env env, Napi::Function, Task* finished) {
        if (env != nullptr) {
          const std::shared_ptr<Runner> runner = finished->runner.lock();
          if (runner != nullptr) {
            if (--runner->pending_ == 0) runner->done_.Unref(env);
            runner->spare_ = std::move(finished->words);
          }
          finished->deferred.Resolve(toJs(env, finished->failure));
        }
        delete finished;
      });
      lock.lock();
    }
  }

  const napi_env env_;
  std::shared_ptr<Engine> engine_;
  Napi::ThreadSafeFunction done_;
  // Both are used on the JavaScript thread only.
  int pending_ = 0;
  std::vector<uint32_t> spare_;  // memory for the next task: new pages would cost more than the words
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::deque<Task*> tasks_;
  bool busy_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

class NativeEngine : public Napi::ObjectWrap<NativeEngine> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Engine",
                       {
                           InstanceMethod<&NativeEngine::manifest>("manifest"),
                           InstanceMethod<&NativeEngine::run>("run"),
                           InstanceMethod<&NativeEngine::runAsync>("runAsync"),
                           InstanceMethod<&NativeEngine::limit>("limit"),
                           InstanceMethod<&NativeEngine::grow>("grow"),
                           InstanceMethod<&NativeEngine::discard>("discard"),
                           InstanceMethod<&NativeEngine::read>("read"),
                           InstanceMethod<&NativeEngine::write>("write"),
                           InstanceMethod<&NativeEngine::close>("close"),
                       });
  }

  // new Engine(isa, threads, isBackground)
  explicit NativeEngine(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeEngine>(info) {
    const Napi::Env env = info.Env();
    const Isa* isa = info[0].IsString() ? findIsa(info[0].As<Napi::String>().Utf8Value().c_str()) : availableIsas()[0];
    const double threads = info[1].IsNumber() ? info[1].As<Napi::Number>().DoubleValue() : 1;
    if (isa == nullptr) {
      std::string names;
      for (const Isa* const* other = availableIsas(); *other != nullptr; ++other)
        names += std::string(" ") + (*other)->name;
      Napi::RangeError::New(env, "this machine and build have these instruction sets:" + names)
          .ThrowAsJavaScriptException();
      return;
    }
    if (!(threads >= 1 && threads <= kMaxThreads)) {
      Napi::RangeError::New(env, "threads must be from 1 to " + std::to_string(kMaxThreads))
          .ThrowAsJavaScriptException();
      return;
    }
    const bool isBackground = info[2].IsBoolean() && info[2].As<Napi::Boolean>().Value();
    threads_ = static_cast<int>(threads);
    engine_ = std::make_shared<Engine>(*isa, threads_, isBackground ? Priority::kBackground : Priority::kNormal);
    if (!engine_->usable()) Napi::Error::New(env, "out of memory for a device's scratch").ThrowAsJavaScriptException();
  }

 private:
  // False, with a JavaScript exception, after close().
  bool open(const Napi::CallbackInfo& info) {
    if (engine_ != nullptr) return true;
    Napi::Error::New(info.Env(), "the engine is closed").ThrowAsJavaScriptException();
    return false;
  }

  // Returns the engine once no run is in progress; null, with a JavaScript exception, after close().
  Engine* idleEngine(const Napi::CallbackInfo& info) {
    if (!open(info)) return nullptr;
    if (runner_ != nullptr) runner_->drain();
    return engine_.get();
  }

  static bool words(const Napi::CallbackInfo& info, const uint32_t*& data, size_t& count) {
    if (info[0].IsTypedArray() && info[0].As<Napi::TypedArray>().TypedArrayType() == napi_uint32_array &&
        info[1].IsNumber()) {
      const auto array = info[0].As<Napi::Uint32Array>();
      const int64_t wanted = info[1].As<Napi::Number>().Int64Value();
      if (wanted >= 0 && static_cast<uint64_t>(wanted) <= array.ElementLength()) {
        data = array.Data();
        count = static_cast<size_t>(wanted);
        return true;
      }
    }
    Napi::TypeError::New(info.Env(), "expected (Uint32Array, count)").ThrowAsJavaScriptException();
    return false;
  }

  Napi::Value manifest(const Napi::CallbackInfo& info) {
    Engine* self = idleEngine(info);
    return self == nullptr ? info.Env().Null() : Napi::String::New(info.Env(), self->manifest());
  }

  // run(words, count) → null | { index, name, reason }
  Napi::Value run(const Napi::CallbackInfo& info) {
    const uint32_t* data = nullptr;
    size_t count = 0;
    Engine* self = idleEngine(info);
    if (self == nullptr || !words(info, data, count)) return info.Env().Null();
    return toJs(info.Env(), self->run(data, count));
  }

  // runAsync(words, count) → a promise of the same. The words are copied.
  Napi::Value runAsync(const Napi::CallbackInfo& info) {
    const uint32_t* data = nullptr;
    size_t count = 0;
    if (!open(info) || !words(info, data, count)) return info.Env().Null();
    if (runner_ == nullptr) runner_ = std::make_shared<Runner>(info.Env(), engine_);
    return runner_->post(info.Env(), data, count);
  }

  // limit(threads): later runs have at most so many threads
  void limit(const Napi::CallbackInfo& info) {
    if (!open(info)) return;
    const double threads = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : 0;
    if (threads >= 1 && threads <= threads_)
      engine_->limit(static_cast<int>(threads));
    else
      Napi::RangeError::New(info.Env(), "threads must be from 1 to " + std::to_string(threads_))
          .ThrowAsJavaScriptException();
  }

  // grow(bytes) → true if the heap now has that many bytes. A run may be in progress.
  Napi::Value grow(const Napi::CallbackInfo& info) {
    const double bytes = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : -1;
    const bool grown = open(info) && bytes >= 0 && bytes <= static_cast<double>(Heap::kMaxBytes) &&
                       engine_->grow(static_cast<uint64_t>(bytes));
    return Napi::Boolean::New(info.Env(), grown);
  }

  // discard(byteOffset, bytes): gives the pages of an unused range back to the system
  Napi::Value discard(const Napi::CallbackInfo& info) {
    Engine* self = idleEngine(info);
    if (self == nullptr) return info.Env().Undefined();
    const double offset = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : -1;
    const double bytes = info[1].IsNumber() ? info[1].As<Napi::Number>().DoubleValue() : -1;
    const double most = static_cast<double>(Heap::kMaxBytes);
    if (!(offset >= 0 && offset <= most && bytes >= 0 && bytes <= most) ||
        !self->discard(static_cast<uint64_t>(offset), static_cast<uint64_t>(bytes)))
      Napi::RangeError::New(info.Env(), "the range is outside the heap").ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }

  // Shared by read and write: (byteOffset, typed array).
  template <class Copy>
  Napi::Value transfer(const Napi::CallbackInfo& info, Copy copy) {
    Engine* self = idleEngine(info);
    if (self == nullptr) return info.Env().Undefined();
    if (!info[0].IsNumber() || !info[1].IsTypedArray()) {
      Napi::TypeError::New(info.Env(), "expected (byteOffset, typed array)").ThrowAsJavaScriptException();
      return info.Env().Undefined();
    }
    const double offset = info[0].As<Napi::Number>().DoubleValue();
    // ArrayBuffer::Data() is null for a SharedArrayBuffer; this gives the address of either.
    void* bytes = nullptr;
    napi_get_typedarray_info(info.Env(), info[1], nullptr, nullptr, &bytes, nullptr, nullptr);
    if (!(offset >= 0 && offset <= static_cast<double>(Heap::kMaxBytes)) ||
        !copy(*self, static_cast<uint64_t>(offset), bytes, info[1].As<Napi::TypedArray>().ByteLength()))
      Napi::RangeError::New(info.Env(), "the range is outside the heap").ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }

  Napi::Value read(const Napi::CallbackInfo& info) {
    return transfer(info, [](Engine& self, uint64_t at, void* data, size_t n) { return self.read(at, data, n); });
  }

  Napi::Value write(const Napi::CallbackInfo& info) {
    return transfer(info,
                    [](Engine& self, uint64_t at, const void* data, size_t n) { return self.write(at, data, n); });
  }

  // Waits for the requested runs and frees the heap.
  void close(const Napi::CallbackInfo&) {
    if (runner_ != nullptr) runner_->drain();
    runner_.reset();
    engine_.reset();
  }

  int threads_ = 1;  // maximum
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Runner> runner_;
};

}  // namespace
}  // namespace simdformer

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("Engine", simdformer::NativeEngine::define(env));
  return exports;
}

NODE_API_MODULE(simdformer, init)
