// Makes a CPU-only torch accept tensors that say they are on a CUDA device: autograd asks for a
// guard of each kind of device, and for the hooks of the accelerator. Both do nothing. The library
// must be loaded before anything asks torch for such a device.
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <cstdlib>

namespace {

// Of each thread, as with CUDA.
thread_local c10::DeviceIndex current_index = 0;

c10::DeviceIndex count() {
  const char* wanted = std::getenv("PRETENDED_GPUS");
  return wanted ? static_cast<c10::DeviceIndex>(std::atoi(wanted)) : 2;
}

c10::DeviceIndex exchange(c10::DeviceIndex index) {
  const auto before = current_index;
  if (index >= 0) current_index = index;
  return before;
}

c10::Device indexed(c10::Device device) {
  return {c10::DeviceType::CUDA, device.index() < 0 ? current_index : device.index()};
}

struct Guard : c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::CUDA> {
  c10::Device getDevice() const override { return {c10::DeviceType::CUDA, current_index}; }
  c10::Device exchangeDevice(c10::Device device) const override {
    return {c10::DeviceType::CUDA, exchange(device.index())};
  }
  void setDevice(c10::Device device) const override { exchange(device.index()); }
  void uncheckedSetDevice(c10::Device device) const noexcept override { exchange(device.index()); }
  c10::Stream getStream(c10::Device device) const noexcept override {
    return c10::Stream(c10::Stream::DEFAULT, indexed(device));
  }
  c10::Stream exchangeStream(c10::Stream stream) const noexcept override { return stream; }
  c10::DeviceIndex deviceCount() const noexcept override { return count(); }
  void record(void**, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
};

c10::impl::DeviceGuardImplRegistrar registered(c10::DeviceType::CUDA, new Guard());

}  // namespace

namespace at {

struct PretendedHooks : CUDAHooksInterface {
  PretendedHooks(CUDAHooksArgs) {}
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex current_device() const override { return current_index; }
  DeviceIndex getCurrentDevice() const override { return current_index; }
  DeviceIndex exchangeDevice(DeviceIndex index) const override { return exchange(index); }
  DeviceIndex maybeExchangeDevice(DeviceIndex index) const override { return exchange(index); }
  void setCurrentDevice(DeviceIndex index) const override { exchange(index); }
  DeviceIndex deviceCount() const override { return count(); }
};

// The name under which torch looks the hooks up.
struct CUDAHooks : PretendedHooks {
  using PretendedHooks::PretendedHooks;
};
REGISTER_CUDA_HOOKS(CUDAHooks);

}  // namespace at
