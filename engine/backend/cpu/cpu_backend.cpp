// The CPU backend: Backend's ops as loops over rows, panels and runs of tokens, shared among the
// threads where there is enough work to share. What each op does with one piece is in kernels.h.

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "engine/backend/backend.h"
#include "engine/backend/cpu/attention.h"
#include "engine/backend/cpu/cpu_count.h"
#include "engine/backend/cpu/kernels.h"
#include "engine/backend/cpu/kv_pages.h"
#include "engine/backend/cpu/linear.h"
#include "engine/backend/cpu/packed_weight.h"
#include "engine/backend/cpu/thread_pool.h"
#include "engine/backend/float_formats.h"
#include "engine/backend/host_memory.h"
#include "engine/backend/stacked_tensors.h"
#include "proto/error.h"

namespace quire::engine {
namespace {

using cpu::Kernels;
using cpu::PackedWeight;
using cpu::WorkItem;

// Elements of activations worth waking the threads for.
constexpr std::int64_t kSharedElements = 1 << 14;

Kernels avx2_or_avx_vnni(bool vnni) {
  Kernels kernels = cpu::avx2_kernels();
  if (vnni) kernels.linear[static_cast<int>(DType::kInt8)] = cpu::avx_vnni_int8_kernels();
  return kernels;
}

Kernels avx512() {
  constexpr auto kInt8 = static_cast<int>(DType::kInt8);
  Kernels kernels = cpu::avx512_kernels();
  if (!cpu::has_avx512_vnni()) kernels.linear[kInt8] = cpu::avx2_kernels().linear[kInt8];
  return kernels;
}

Kernels amx() {
  Kernels kernels = avx512();
  kernels.name = "amx";
  kernels.linear[static_cast<int>(DType::kBFloat16)] = cpu::amx_bfloat16_kernels();
  kernels.many_int8 = cpu::amx_int8_kernels();
  return kernels;
}

Kernels choose_kernels(std::string_view isa) {
  if (!cpu::has_avx2()) throw StartupError("this processor lacks AVX2, FMA or F16C");
  if (isa == "avx2") return avx2_or_avx_vnni(false);
  if (isa == "avxvnni") {
    if (!cpu::has_avx_vnni()) throw StartupError("this processor lacks AVX-VNNI");
    return avx2_or_avx_vnni(true);
  }
  if (!isa.empty() && isa != "avx512" && isa != "amx") {
    throw StartupError("unknown instruction set (avx2, avxvnni, avx512 and amx are known)");
  }
  if (isa != "avx512" && cpu::has_amx()) return amx();
  if (isa == "amx") throw StartupError("no AMX with bfloat16 and int8 here");
  if (cpu::has_avx512()) return avx512();
  if (isa == "avx512") throw StartupError("this processor lacks AVX-512 F, BW, VL or DQ");
  return avx2_or_avx_vnni(cpu::has_avx_vnni());
}

const PackedWeight& packed(const Weight& weight) {
  return static_cast<const PackedWeight&>(weight);
}

class CpuBackend final : public Backend {
 public:
  CpuBackend(int num_threads, const Kernels& kernels)
      : kernels_(kernels),
        name_("cpu-" + std::string(kernels.name)),
        pool_(num_threads),
        linear_(kernels_, pool_),
        attention_(kernels_, pool_) {}

  [[nodiscard]] std::string_view name() const override { return name_; }
  [[nodiscard]] std::string_view layout_id() const override { return "k-dim16-v-slot"; }
  [[nodiscard]] std::int32_t block_size_multiple() const override { return cpu::kSubtile; }
  [[nodiscard]] bool supports_kv_dtype(DType dtype) const override {
    return is_float(dtype) || has_scales(dtype);
  }
  [[nodiscard]] bool supports_weight_dtype(DType dtype) const override {
    return is_float(dtype) || dtype == DType::kInt8;
  }
  [[nodiscard]] bool supports_head_dim(std::int32_t head_dim) const override {
    return head_dim > 0 && head_dim <= cpu::kMaxHeadDim;
  }

  DeviceBuffer allocate(std::int64_t bytes) override {
    return DeviceBuffer(this, map_zeroed(bytes), bytes);
  }
  void free_memory(void* data, std::int64_t bytes) noexcept override { unmap(data, bytes); }
  std::unique_ptr<Weight> prepare_weight(std::span<const HostTensor> parts, DType dtype) override {
    CHECK(supports_weight_dtype(dtype));
    return std::make_unique<PackedWeight>(parts, dtype, kernels_, pool_);
  }
  DeviceBuffer prepare_vector(std::span<const HostTensor> parts) override {
    DeviceBuffer buffer =
        allocate(total_elements(parts) * static_cast<std::int64_t>(sizeof(float)));
    widen_all(parts, static_cast<float*>(buffer.data()));
    return buffer;
  }
  void reserve(std::int64_t, std::int64_t max_rows, std::int64_t max_features,
               std::int64_t) override {
    linear_.reserve(max_features);
    attention_.reserve(max_rows);
  }
  void begin_step(const BatchInput&) override {}
  void end_step() override {}

  void embed(const Weight& table, std::span<const std::int32_t> ids, TensorView out) override {
    const PackedWeight& weight = packed(table);
    CHECK_EQ(out.cols, weight.cols());
    CHECK_EQ(out.rows, static_cast<std::int64_t>(ids.size()));
    for_rows(out, [&](std::int64_t t) {
      const std::int64_t id = ids[static_cast<std::size_t>(t)];
      CHECK(id >= 0 && id < weight.rows());
      weight.copy_row(id, out.row(t));
    });
  }
  void add(TensorView residual, TensorView delta) override {
    check_same_shape(residual, delta);
    for_rows(residual,
             [&](std::int64_t t) { kernels_.add(residual.row(t), delta.row(t), residual.cols); });
  }
  void linear(TensorView x, const Weight& weight, const float* bias, TensorView out) override {
    linear_.run(x, packed(weight), bias, out);
  }
  void rms_norm(TensorView residual, TensorView delta, const float* weight, float epsilon,
                TensorView out) override {
    check_same_shape(residual, out);
    for_rows(residual, [&](std::int64_t t) {
      add_if_given(residual, delta, t);
      kernels_.rms_norm(residual.row(t), weight, epsilon, residual.cols, out.row(t));
    });
  }
  void layer_norm(TensorView residual, TensorView delta, const float* weight, const float* bias,
                  float epsilon, TensorView out) override {
    check_same_shape(residual, out);
    for_rows(residual, [&](std::int64_t t) {
      add_if_given(residual, delta, t);
      kernels_.layer_norm(residual.row(t), weight, bias, epsilon, residual.cols, out.row(t));
    });
  }
  void rope_and_write_kv(TensorView q, TensorView k, TensorView v, const RopeTable& rope,
                         const KvLayer& kv, const BatchInput& batch) override {
    CHECK(supports_kv_dtype(kv.dtype));
    CHECK_EQ(kv.block_size % cpu::kSubtile, 0);
    CHECK_EQ(k.cols, static_cast<std::int64_t>(kv.num_kv_heads) * kv.head_dim);
    for_rows(q, [&](std::int64_t t) {
      const auto token = static_cast<std::size_t>(t);
      if (rope.rotary_dim > 0) {
        const std::int64_t position = batch.positions[token];
        cpu::rotate_token(q.row(t), q.cols, kv.head_dim, rope, position);
        cpu::rotate_token(k.row(t), k.cols, kv.head_dim, rope, position);
      }
      cpu::write_token(k.row(t), v.row(t), kv, batch.slot_mapping[token]);
    });
  }
  void attention(TensorView q, const KvLayer& kv, const AttentionParams& params,
                 const BatchInput& batch, TensorView out) override {
    attention_.run(q, kv, params, batch, out);
  }
  void silu_and_mul(TensorView x, TensorView out) override {
    CHECK_EQ(x.cols, 2 * out.cols);
    CHECK_EQ(x.rows, out.rows);
    for_rows(x, [&](std::int64_t t) {
      kernels_.silu_and_mul(x.row(t), x.row(t) + out.cols, out.cols, out.row(t));
    });
  }
  void gelu_tanh(TensorView x) override {
    for_rows(x, [&](std::int64_t t) { kernels_.gelu_tanh(x.row(t), x.cols); });
  }
  void gather_rows(TensorView x, std::span<const std::int32_t> rows, TensorView out) override {
    CHECK_EQ(x.cols, out.cols);
    CHECK_EQ(out.rows, static_cast<std::int64_t>(rows.size()));
    for_rows(out, [&](std::int64_t s) {
      std::copy_n(x.row(rows[static_cast<std::size_t>(s)]), x.cols, out.row(s));
    });
  }
  void copy_page(const KvLayer& any_layer, BlockId from, BlockId to) override {
    const std::int64_t size = any_layer.page_bytes;
    std::memcpy(any_layer.pool + static_cast<std::int64_t>(to) * size,
                any_layer.pool + static_cast<std::int64_t>(from) * size,
                static_cast<std::size_t>(size));
  }
  const float* to_host(TensorView x) override { return static_cast<const float*>(x.data); }
  void parallel_for(std::int64_t n, void (*fn)(void* context, std::int64_t i),
                    void* context) override {
    pool_.run_if(n > 1, n, [&](const WorkItem& item) { fn(context, item.index); });
  }

 private:
  static void check_same_shape(TensorView a, TensorView b) {
    CHECK_EQ(a.rows, b.rows);
    CHECK_EQ(a.cols, b.cols);
  }
  // fn(t) for every row of `shape`.
  template <typename Function>
  void for_rows(TensorView shape, const Function& fn) {
    pool_.run_if(shape.rows * shape.cols >= kSharedElements, shape.rows,
                 [&](const WorkItem& item) { fn(item.index); });
  }
  void add_if_given(TensorView residual, TensorView delta, std::int64_t t) const {
    if (delta.data != nullptr) kernels_.add(residual.row(t), delta.row(t), residual.cols);
  }

  const Kernels kernels_;
  const std::string name_;
  cpu::ThreadPool pool_;
  cpu::Linear linear_;
  cpu::Attention attention_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(int num_threads, std::string_view isa) {
  return std::make_unique<CpuBackend>(num_threads > 0 ? num_threads : cpu::available_cpus(),
                                      choose_kernels(isa));
}

}  // namespace quire::engine
