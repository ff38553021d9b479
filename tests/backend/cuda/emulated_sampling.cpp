#include <memory>

#include "engine/backend/cuda/sample_row.h"
#include "tests/backend/cuda/emulated_ops.h"
#include "tests/backend/cuda/host_team.h"

namespace quire::engine::cuda::testing {

// The kernel's own text. Rows take turns in the order of a team's threads.
void emulate_sampling(const QuireCudaOp& op) {
  constexpr TeamOrder kOrders[] = {TeamOrder::kForwards, TeamOrder::kBackwards,
                                   TeamOrder::kScattered};
  const auto shared = std::make_unique<SampleShared>();
  for (std::int32_t row = 0; row < op.x.rows; ++row) {
    if (op.sample.rows[row].active == 0) continue;
    RowSampler<HostTeam>({kOrders[row % 3]}, *shared, op, row).run();
  }
}

}  // namespace quire::engine::cuda::testing
