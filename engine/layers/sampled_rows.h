#pragma once
// sampled_rows: the end of every model: picks the rows whose next token is wanted, then adds the
// last block's output and norms them alone (a row's result does not depend on its company).

#include "engine/backend/backend.h"
#include "engine/layers/activations.h"

namespace quire::engine {

// Norm: RmsNorm or LayerNorm. [S, C]; valid until the next step.
template <typename Norm>
[[nodiscard]] TensorView sampled_rows(Backend& backend, const Norm& norm,
                                      const Activations& scratch, const BatchInput& batch) {
  const std::int64_t tokens = batch.num_tokens();
  const auto samples = static_cast<std::int64_t>(batch.sample_tokens.size());
  const TensorView residual = scratch.sampled_residual.view(samples);
  const TensorView delta = scratch.sampled_delta.view(samples);
  const TensorView out = scratch.sampled.view(samples);
  backend.gather_rows(scratch.residual.view(tokens), batch.sample_tokens, residual);
  backend.gather_rows(scratch.delta.view(tokens), batch.sample_tokens, delta);
  norm.apply(backend, residual, delta, out);
  return out;
}

}  // namespace quire::engine
