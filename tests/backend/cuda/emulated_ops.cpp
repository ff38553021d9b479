#include "tests/backend/cuda/emulated_ops.h"

#include <algorithm>
#include <span>
#include <vector>

#include "engine/backend/cuda/sampling.h"
#include "engine/backend/float_formats.h"
#include "engine/backend/reference/ops.h"

namespace quire::engine::cuda::testing {
namespace {

TensorView view(const QuireCudaTensor& x) {
  return {.data = x.data, .rows = x.rows, .cols = x.cols, .row_stride = x.row_stride};
}

DType dtype(std::int32_t type) { return static_cast<DType>(type); }

void write_narrow(const QuireCudaTensor& x, const QuireCudaNarrowCopy& narrow) {
  if (narrow.data == nullptr) return;
  auto* out = static_cast<std::byte*>(narrow.data);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::int64_t c = 0; c < narrow.row_stride; ++c, out += 2) {
      store_float(out, dtype(narrow.type), c < x.cols ? view(x).row(r)[c] : 0.0f);
    }
  }
}

void embed(const QuireCudaOp& op) {
  const std::int64_t element = dtype_bytes(dtype(op.weight.type));
  for (std::int64_t t = 0; t < op.out.rows; ++t) {
    const auto* row = static_cast<const std::byte*>(op.weight.data) +
                      embedded_token(op, t) * op.weight.row_stride * element;
    for (std::int64_t c = 0; c < op.out.cols; ++c) {
      view(op.out).row(t)[c] = load_float(row + c * element, dtype(op.weight.type));
    }
  }
}

KvLayer layer(const QuireCudaKv& kv) {
  return {.pool = static_cast<std::byte*>(kv.pool),
          .page_bytes = kv.page_bytes,
          .layer_offset = kv.layer_offset,
          .part_bytes = kv.part_bytes,
          .block_size = kv.block_size,
          .num_kv_heads = kv.num_kv_heads,
          .head_dim = kv.head_dim,
          .dtype = dtype(kv.type)};
}

void rope_write(const QuireCudaOp& op) {
  const RopeTable rope{.cos_sin = op.vector, .rotary_dim = op.rotary_dim};
  for (std::int64_t t = 0; t < op.x.rows; ++t) {
    const auto row = [t](const QuireCudaTensor& x) {
      TensorView one = view(x);
      one.data = one.row(t);
      one.rows = 1;
      return one;
    };
    const std::span position(op.index + t, 1);
    reference::rope(row(op.x), op.kv.head_dim, rope, position);
    reference::rope(row(op.y), op.kv.head_dim, rope, position);
    if (op.slots[t] < 0) continue;
    reference::write_kv(row(op.y), row(op.z), layer(op.kv), std::span(op.slots + t, 1));
  }
}

void norm(const QuireCudaOp& op) {
  TensorView delta;
  if (op.y.data != nullptr) delta = view(op.y);
  if (op.kind == kQuireCudaRmsNorm) {
    reference::rms_norm(view(op.x), delta, op.vector, op.epsilon, view(op.out));
  } else {
    reference::layer_norm(view(op.x), delta, op.vector, op.vector2, op.epsilon, view(op.out));
  }
}

}  // namespace

void emulate(const QuireCudaOp& op) {
  switch (static_cast<QuireCudaOpKind>(op.kind)) {
    case kQuireCudaEmbed:
      return embed(op);
    case kQuireCudaAdd:
      return reference::add(view(op.x), view(op.y));
    case kQuireCudaNarrow:
      return write_narrow(op.x, op.narrow);
    case kQuireCudaLinear:
      return emulate_linear(op);
    case kQuireCudaRmsNorm:
    case kQuireCudaLayerNorm:
      norm(op);
      return write_narrow(op.out, op.narrow);
    case kQuireCudaRopeWrite:
      return rope_write(op);
    case kQuireCudaAttention:
      emulate_attention(op);
      return write_narrow(op.out, op.narrow);
    case kQuireCudaSiluMul:
      reference::silu_and_mul(view(op.x), view(op.out));
      return write_narrow(op.out, op.narrow);
    case kQuireCudaGelu:
      reference::gelu_tanh(view(op.x));
      return write_narrow(op.out, op.narrow);
    case kQuireCudaGather:
      return reference::gather_rows(
          view(op.x), std::span(op.index, static_cast<std::size_t>(op.out.rows)), view(op.out));
    case kQuireCudaSample:
      return emulate_sampling(op);
  }
}

}  // namespace quire::engine::cuda::testing
