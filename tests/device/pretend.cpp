// A pretend accelerator: the PrivateUse1 device of PyTorch over host memory. Device tags, the autograd thread and values are real.
// Every operator without a kernel goes to `fallback`, which applies the rules of CUDA about mixed devices and computes on the host.
#include <torch/extension.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/Resize.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/core/Allocator.h>
#include <torch/library.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/autocast_mode.h>
#include <atomic>
#include <mutex>
#include <set>
#include <unordered_set>

using at::Tensor;
static const c10::Device DEV(c10::DeviceType::PrivateUse1, 0);
static std::atomic<int64_t> LIVE{0}, PEAK{0};
static std::mutex MU;
static std::vector<std::string> MIXED;           // violations, as CUDA would raise them
static std::unordered_set<const void*> GENS;     // generators that pretend to be on the device
static std::atomic<bool> RAISE{true};

static void grow(int64_t n) { int64_t v = (LIVE += n); int64_t p = PEAK.load(); while (v > p && !PEAK.compare_exchange_weak(p, v)) {} }

struct Alloc final : c10::Allocator {
  struct Ctx { void* p; size_t n; };
  static void del(void* c) { auto* x = static_cast<Ctx*>(c); free(x->p); LIVE -= (int64_t)x->n; delete x; }
  c10::DataPtr allocate(size_t n) override {
    void* p = nullptr; if (n) { if (posix_memalign(&p, 64, n)) throw std::bad_alloc(); }
    grow((int64_t)n);
    return {p, new Ctx{p, n}, &del, DEV};
  }
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void* d, const void* s, std::size_t n) const override { memcpy(d, s, n); }
};
static Alloc ALLOC;
REGISTER_ALLOCATOR(c10::DeviceType::PrivateUse1, &ALLOC);

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return c10::DeviceType::PrivateUse1; }
  c10::Device exchangeDevice(c10::Device) const override { return DEV; }
  c10::Device getDevice() const override { return DEV; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, DEV); }
  c10::Stream getNewStream(c10::Device, int) const override { return c10::Stream(c10::Stream::DEFAULT, DEV); }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, DEV); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void**, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, const c10::DeviceIndex) const noexcept override {}
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  at::Generator getNewGenerator(c10::DeviceIndex) const override {
    auto g = at::detail::createCPUGenerator();
    std::lock_guard<std::mutex> l(MU); GENS.insert(g.unsafeGetGeneratorImpl()); return g;
  }
  void resizePrivateUse1Bytes(const c10::Storage& s, size_t n) const override {
    auto fresh = ALLOC.allocate(n);
    if (s.data()) memcpy(fresh.get(), s.data(), std::min(n, s.nbytes()));
    auto* impl = const_cast<c10::Storage&>(s).unsafeGetStorageImpl();
    impl->set_data_ptr_noswap(std::move(fresh)); impl->set_nbytes(n);
  }
};
static Hooks HOOKS;

static bool on_dev(const Tensor& t) { return t.defined() && t.device().type() == c10::DeviceType::PrivateUse1; }

static Tensor host(const Tensor& t) {
  if (!on_dev(t)) return t;
  auto o = at::TensorOptions().dtype(t.dtype()).device(at::kCPU);
  at::AutoDispatchBelowADInplaceOrView g;
  return at::from_blob(t.data_ptr(), t.sizes(), t.strides(), [t](void*) {}, o, at::Device(at::kCPU));
}

static Tensor device(const Tensor& c) {
  if (!c.defined() || on_dev(c)) return c;
  struct Ctx { Tensor t; int64_t n; };
  const auto& s = c.storage(); int64_t n = (int64_t)s.nbytes(); grow(n);
  c10::DataPtr dp(const_cast<void*>(s.data()), new Ctx{c, n}, [](void* x) { auto* y = static_cast<Ctx*>(x); LIVE -= y->n; delete y; }, DEV);
  c10::Storage st(c10::Storage::use_byte_size_t(), s.nbytes(), std::move(dp), &ALLOC, true);
  auto r = at::detail::make_tensor<c10::TensorImpl>(std::move(st), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), c.dtype());
  r.unsafeGetTensorImpl()->set_sizes_and_strides(c.sizes(), c.strides(), c.storage_offset());
  return r;
}

static void violated(const std::string& s) {
  { std::lock_guard<std::mutex> l(MU); MIXED.push_back(s); }
  if (RAISE) TORCH_CHECK(false, "[as CUDA] ", s);
}

static const std::set<std::string> CPU_INDICES_OK = {"aten::index", "aten::index_put_", "aten::_index_put_impl_", "aten::index_put", "aten::_unsafe_index"};
static const std::set<std::string> FREE = {"aten::copy_", "aten::_copy_from", "aten::_to_copy", "aten::set_", "aten::_has_compatible_shallow_copy_type", "aten::is_same_size"};

static void check(const std::string& name, const c10::FunctionSchema& schema, const torch::jit::Stack& stack, size_t first) {
  if (FREE.count(name)) return;
  bool dev = false, cpu = false, self_cpu = false; std::string what;
  size_t i = 0;
  auto see = [&](const Tensor& t, const std::string& arg) {
    if (!t.defined()) return;
    if (on_dev(t)) { dev = true; return; }
    if (t.dim() == 0 && !schema.arguments()[i].alias_info()) return;  // a CPU scalar may join
    if (CPU_INDICES_OK.count(name) && arg == "indices") return;
    cpu = true; if (i == 0) self_cpu = true; what += " " + arg + ":cpu" + c10::str(t.sizes());
  };
  for (; i < schema.arguments().size(); i++) {
    const auto& v = stack[first + i]; const auto& arg = schema.arguments()[i].name();
    if (v.isTensor()) see(v.toTensor(), arg);
    else if (v.isTensorList()) { for (const Tensor& t : v.toTensorVector()) see(t, arg); }
    else if (v.isList()) { for (const auto& e : v.toListRef()) if (e.isTensor()) see(e.toTensor(), arg); }
    else if (v.isGenerator()) {
      auto g = v.toGenerator(); std::lock_guard<std::mutex> l(MU);
      if (!GENS.count(g.unsafeGetGeneratorImpl())) { cpu = true; what += " generator:cpu"; }
    }
  }
  if (dev && cpu) violated("Expected all tensors to be on the same device: " + name + what);
}

static void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema(); const auto n = schema.arguments().size(); const size_t first = stack->size() - n;
  check(schema.name(), schema, *stack, first);
  std::vector<std::pair<Tensor, Tensor>> pairs;
  std::vector<std::pair<Tensor, Tensor>> fresh;  // outputs that the operator is to size
  size_t at_arg = 0;
  auto to_host = [&](const Tensor& t) {
    if (!on_dev(t)) return t;
    const auto* alias = schema.arguments()[at_arg].alias_info();
    const bool is_out = schema.arguments()[at_arg].is_out();
    bool unsized = alias && alias->isWrite() && (t.numel() == 0 || is_out);
    Tensor h = unsized ? at::empty_strided(t.sizes(), t.strides(), at::TensorOptions().dtype(t.dtype()).device(at::kCPU)) : host(t);
    if (unsized) fresh.emplace_back(t, h);
    pairs.emplace_back(t, h); return h; };
  for (size_t i = first; i < stack->size(); i++) {
    auto& v = (*stack)[i]; at_arg = i - first;
    if (v.isTensor() && v.toTensor().defined()) v = to_host(v.toTensor());
    else if (v.isTensorList()) { std::vector<Tensor> r; for (const Tensor& t : v.toTensorVector()) r.push_back(to_host(t)); v = c10::IValue(c10::List<Tensor>(r)); }
    else if (v.isOptionalTensorList()) {
      c10::List<std::optional<Tensor>> r;
      for (const std::optional<Tensor>& t : v.toOptionalTensorVector()) r.push_back(t.has_value() ? std::optional<Tensor>(to_host(*t)) : std::nullopt);
      v = c10::IValue(r);
    }
    else if (v.isDevice() && v.toDevice().type() == c10::DeviceType::PrivateUse1) v = c10::IValue(at::Device(at::kCPU));
  }
  { at::AutoDispatchBelowADInplaceOrView g; op.callBoxed(stack); }
  for (auto& p : fresh) {
    if (p.second.numel() == 0) continue;
    if (p.first.sizes() == p.second.sizes() && p.first.numel() > 0) { host(p.first).copy_(p.second); continue; }
    Tensor r = device(p.second); auto* i = p.first.unsafeGetTensorImpl();
    i->set_storage_keep_dtype(r.storage()); i->set_sizes_and_strides(r.sizes(), r.strides(), r.storage_offset());
  }
  auto back = [&](const Tensor& t) { for (auto& p : pairs) if (t.defined() && t.is_same(p.second)) return p.first; return device(t); };
  for (size_t i = stack->size() - schema.returns().size(); i < stack->size(); i++) {
    auto& v = (*stack)[i];
    if (v.isTensor() && v.toTensor().defined()) v = back(v.toTensor());
    else if (v.isTensorList()) { std::vector<Tensor> r; for (const Tensor& t : v.toTensorVector()) r.push_back(back(t)); v = c10::IValue(c10::List<Tensor>(r)); }
  }
}

static Tensor empty_mf(c10::SymIntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> mf) {
  return at::detail::empty_generic(C10_AS_INTARRAYREF_SLOW(size), &ALLOC, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), c10::dtype_or_default(dtype), mf);
}
static Tensor empty_st(c10::SymIntArrayRef size, c10::SymIntArrayRef stride, std::optional<at::ScalarType> dtype, std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride), &ALLOC, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), c10::dtype_or_default(dtype));
}
static Tensor copy_from(const Tensor& self, const Tensor& dst, bool nb) { host(dst).copy_(host(self), nb); return dst; }
static Tensor copy_from_and_resize(const Tensor& self, const Tensor& dst) { TORCH_CHECK(dst.sizes() == self.sizes()); host(dst).copy_(host(self)); return dst; }
static at::Scalar local_scalar(const Tensor& t) { return host(t).item(); }
static Tensor conv(const Tensor& x, const Tensor& w, const std::optional<Tensor>& b, c10::SymIntArrayRef s, c10::SymIntArrayRef p, c10::SymIntArrayRef d, bool t, c10::SymIntArrayRef op, c10::SymInt g) {
  if (!on_dev(x) || !on_dev(w) || (b.has_value() && b->defined() && !on_dev(*b))) violated("Expected all tensors to be on the same device: aten::convolution");
  std::optional<Tensor> hb; if (b.has_value() && b->defined()) hb = host(*b);
  at::AutoDispatchBelowADInplaceOrView guard;
  return device(at::convolution_symint(host(x), host(w), hb, s, p, d, t, op, g));
}
static std::tuple<Tensor, Tensor, Tensor> conv_back(const Tensor& go, const Tensor& x, const Tensor& w, c10::SymIntArrayRef s, c10::SymIntArrayRef p, c10::SymIntArrayRef d, bool t, c10::SymIntArrayRef op, c10::SymInt g, std::array<bool, 3> mask) {
  if (!on_dev(x) || !on_dev(w) || !on_dev(go)) violated("Expected all tensors to be on the same device: aten::convolution_backward");
  at::AutoDispatchBelowADInplaceOrView guard;
  c10::SymInt out = t ? w.sym_size(1) * g : w.sym_size(0); std::vector<c10::SymInt> bias{out};
  auto r = at::convolution_backward_symint(host(go), host(x), host(w), c10::SymIntArrayRef(bias), s, p, d, t, op, g, mask);
  return {device(std::get<0>(r)), device(std::get<1>(r)), device(std::get<2>(r))};
}
static Tensor& set_storage(Tensor& self, at::Storage src, c10::SymInt off, c10::SymIntArrayRef size, c10::SymIntArrayRef stride) {
  auto* i = self.unsafeGetTensorImpl(); i->set_storage_keep_dtype(std::move(src)); i->set_sizes_and_strides(C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride), off.guard_int(__FILE__, __LINE__)); return self;
}
static const Tensor& resize_(const Tensor& self, c10::SymIntArrayRef size, std::optional<at::MemoryFormat>) {
  auto sz = C10_AS_INTARRAYREF_SLOW(size); auto* i = self.unsafeGetTensorImpl(); i->set_sizes_contiguous(sz);
  size_t need = (i->numel() + i->storage_offset()) * i->dtype().itemsize();
  if (need > i->storage().nbytes()) HOOKS.resizePrivateUse1Bytes(i->storage(), need);
  return self;
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>()); }
TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", &empty_mf);
  m.impl("empty_strided", &empty_st);
  m.impl("as_strided", TORCH_FN(at::native::as_strided_tensorimpl));
  m.impl("view", TORCH_FN(at::native::view));
  m.impl("_reshape_alias", TORCH_FN(at::native::_reshape_alias));
  m.impl("unfold", TORCH_FN(at::native::unfold));
  m.impl("_copy_from", &copy_from);
  m.impl("_copy_from_and_resize", &copy_from_and_resize);
  m.impl("_local_scalar_dense", &local_scalar);
  m.impl("convolution_overrideable", &conv);
  m.impl("convolution_backward_overrideable", &conv_back);
  m.impl("set_.source_Storage_storage_offset", &set_storage);
  m.impl("resize_", &resize_);
  for (const char* name : {"native_group_norm", "native_layer_norm", "native_batch_norm", "native_batch_norm_backward", "native_group_norm_backward", "embedding"})
    m.impl(name, torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

using namespace at;
using namespace at::autocast;
#define LOW(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, lower_precision_fp)
#define OPT(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32_set_opt_dtype)
#define PROMOTE(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, promote)
#define HIGH(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32)
TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, m) { m.fallback(torch::CppFunction::makeFallthrough()); }
TORCH_LIBRARY_IMPL(aten, AutocastPrivateUse1, m) {
  AT_FORALL_LOWER_PRECISION_FP(LOW)
  AT_FORALL_FP32(HIGH)
  AT_FORALL_FP32_SET_OPT_DTYPE(OPT)
  AT_FORALL_PROMOTE(PROMOTE)
  AT_FORALL_DIFFERENT_REDISPATCH_SIGNATURE(KERNEL_DIFFERENT_REDISPATCH_SIGNATURE_PRIVATEUSEONE)
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  at::RegisterPrivateUse1HooksInterface(&HOOKS);
  m.def("live_bytes", [] { return LIVE.load(); });
  m.def("peak_bytes", [] { return PEAK.load(); });
  m.def("reset_peak", [] { PEAK = LIVE.load(); });
  m.def("raise_on_mixed", [](bool on) { RAISE = on; });
  m.def("mixed", [] { std::lock_guard<std::mutex> l(MU); auto r = MIXED; MIXED.clear(); return r; });
}
