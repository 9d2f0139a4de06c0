// The communicator of a group of one rank.
#include "src/comm/single_rank.h"

#include <algorithm>
#include <utility>

#include "kernels/common/check.h"
#include "src/comm/done_collective.h"

namespace lora_dist {
namespace {

class SingleRank final : public Communicator {
 public:
  explicit SingleRank(std::shared_ptr<WireBytes> ledger) : ledger_(std::move(ledger)) {}

  int rank() const override { return 0; }
  int size() const override { return 1; }

  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all, WireKind /*kind*/) override {
    require(all.size() == mine.size(), "all_gather: all.size() must be mine.size() * size()");
    if (mine.data() != all.data()) {
      std::copy(mine.begin(), mine.end(), all.begin());
    }
  }
  std::unique_ptr<PendingCollective> start_all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                                                      WireKind kind) override {
    all_gather(mine, all, kind);
    return std::make_unique<DoneCollective>();
  }
  void all_reduce(std::span<std::int64_t> /*values*/, Reduce /*op*/, WireKind /*kind*/) override {}
  void all_reduce(std::span<double> /*values*/, Reduce op, WireKind /*kind*/) override {
    require(op != Reduce::sum, "all_reduce: doubles have no sum that is the same on every mesh");
  }
  void all_reduce_sum(const TensorView& /*values*/, WireKind /*kind*/) override {}
  void reduce_scatter_sum(const TensorView& /*values*/, WireKind /*kind*/) override {}
  void broadcast(std::span<std::byte> /*data*/, int root, WireKind /*kind*/) override {
    require(root == 0, "broadcast: root is not a rank of the group");
  }
  void barrier() override {}
  std::unique_ptr<Communicator> split(int /*color*/) override { return make_single_rank(ledger_); }

  const WireBytes& wire() const override { return *ledger_; }

 private:
  std::shared_ptr<WireBytes> ledger_;
};

}  // namespace

std::unique_ptr<Communicator> make_single_rank(std::shared_ptr<WireBytes> ledger) {
  return std::make_unique<SingleRank>(std::move(ledger));
}

std::unique_ptr<Communicator> make_single_rank() { return make_single_rank(std::make_shared<WireBytes>()); }

}  // namespace lora_dist
