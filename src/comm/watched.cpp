// Records each call and forwards it to another communicator.
#include "src/comm/watched.h"

#include <numeric>
#include <utility>

#include "src/core/activity.h"
#include "src/core/fault_point.h"

namespace lora_dist {

namespace {

class WatchedCollective final : public PendingCollective {
 public:
  WatchedCollective(std::unique_ptr<PendingCollective> pending, CollectiveRecord record)
      : pending_(std::move(pending)), record_(std::move(record)) {}
  ~WatchedCollective() override {
    if (pending_ != nullptr) {
      const InCollective here(record_);
      pending_.reset();
    }
  }

  void wait() override {
    if (pending_ != nullptr) {
      const InCollective here(record_);
      const std::unique_ptr<PendingCollective> pending = std::move(pending_);  // one that fails is not waited for again
      pending->wait();
    }
  }
  bool progress() override { return pending_ == nullptr || pending_->progress(); }

 private:
  std::unique_ptr<PendingCollective> pending_;
  CollectiveRecord record_;
};

class Watched final : public Communicator {
 public:
  /// `members`: the job's ranks in the group. `host`: the same group over host memory, or null.
  Watched(std::unique_ptr<Communicator> comm, Communicator* host, std::vector<std::int64_t> members, int group,
          std::shared_ptr<int> groups)
      : comm_(std::move(comm)), host_(host), members_(std::move(members)), groups_(std::move(groups)) {
    record_.ranks = ranks_text(members_);
    record_.group = group;
  }

  int rank() const override { return comm_->rank(); }
  int size() const override { return comm_->size(); }

  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all, WireKind kind) override {
    const InCollective here(next("all_gather", name_of(kind), mine.size()));
    fault_point("all_gather");
    comm_->all_gather(mine, all, kind);
  }

  std::unique_ptr<PendingCollective> start_all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                                                      WireKind kind) override {
    const CollectiveRecord record = next("all_gather", name_of(kind), mine.size());
    const InCollective here(record);
    fault_point("all_gather");
    return std::make_unique<WatchedCollective>(comm_->start_all_gather(mine, all, kind), record);
  }

  void all_reduce(std::span<std::int64_t> values, Reduce op, WireKind kind) override {
    const InCollective here(next("all_reduce", name_of(kind), values.size_bytes()));
    fault_point(kind == WireKind::adapter_gradient ? "gradient_all_reduce" : "all_reduce");
    comm_->all_reduce(values, op, kind);
  }

  void all_reduce(std::span<double> values, Reduce op, WireKind kind) override {
    const InCollective here(next("all_reduce", name_of(kind), values.size_bytes()));
    fault_point("all_reduce");
    comm_->all_reduce(values, op, kind);
  }

  void all_reduce_sum(const TensorView& values, WireKind kind) override {
    const InCollective here(next("all_reduce", name_of(kind), bytes_of(values).size()));
    fault_point("all_reduce_sum");
    comm_->all_reduce_sum(values, kind);
  }

  std::unique_ptr<PendingCollective> start_all_reduce_sum(const TensorView& values, WireKind kind) override {
    if (!comm_->sums_beside()) {
      return Communicator::start_all_reduce_sum(values, kind);
    }
    const CollectiveRecord record = next("all_reduce", name_of(kind), bytes_of(values).size());
    const InCollective here(record);
    fault_point("all_reduce_sum");
    return std::make_unique<WatchedCollective>(comm_->start_all_reduce_sum(values, kind), record);
  }
  bool sums_beside() const override { return comm_->sums_beside(); }

  void reduce_scatter_sum(const TensorView& values, WireKind kind) override {
    const InCollective here(next("reduce_scatter", name_of(kind), bytes_of(values).size()));
    fault_point("reduce_scatter_sum");
    comm_->reduce_scatter_sum(values, kind);
  }

  void broadcast(std::span<std::byte> data, int root, WireKind kind) override {
    const InCollective here(next("broadcast", name_of(kind), data.size()));
    fault_point("broadcast");
    comm_->broadcast(data, root, kind);
  }

  void barrier() override {
    const InCollective here(next("barrier", name_of(WireKind::control), 0));
    fault_point("barrier");
    comm_->barrier();
  }

  std::unique_ptr<Communicator> split(int color) override {
    const InCollective here(next("split", name_of(WireKind::control), 0));
    std::unique_ptr<Communicator> part = comm_->split(color);
    const int group = ++*groups_;
    std::vector<std::int64_t> members = members_of(color);
    if (part->size() == 1) {
      return part;
    }
    Communicator* host = host_ == comm_.get() ? part.get() : nullptr;
    return std::make_unique<Watched>(std::move(part), host, std::move(members), group, groups_);
  }

  void follow(const Stream& stream) override { comm_->follow(stream); }
  void abort() override { comm_->abort(); }
  const WireBytes& wire() const override { return comm_->wire(); }

 private:
  CollectiveRecord next(const char* name, std::string_view what, std::size_t bytes) {
    ++record_.number;
    record_.name = name;
    record_.what = what;
    record_.bytes = static_cast<std::int64_t>(bytes);
    return record_;
  }

  /// The members of this rank's new group. Exchanged over the host, since a device group cannot use host memory.
  std::vector<std::int64_t> members_of(int color) {
    std::vector<std::int64_t> members;
    if (host_ == nullptr) {
      return members;
    }
    const std::int64_t mine = color;
    std::vector<std::int64_t> colors(static_cast<std::size_t>(size()));
    host_->all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(colors)), WireKind::control);
    for (std::size_t i = 0; i < colors.size(); ++i) {
      if (colors[i] == mine) {
        members.push_back(members_[i]);
      }
    }
    return members;
  }

  std::unique_ptr<Communicator> comm_;
  Communicator* host_;
  std::vector<std::int64_t> members_;
  std::shared_ptr<int> groups_;
  CollectiveRecord record_;
};

std::unique_ptr<Communicator> watched(std::unique_ptr<Communicator> comm, Communicator* host, std::shared_ptr<int> groups) {
  if (comm->size() == 1) {
    return comm;
  }
  std::vector<std::int64_t> members(static_cast<std::size_t>(comm->size()));
  std::iota(members.begin(), members.end(), 0);
  const int group = *groups;
  return std::make_unique<Watched>(std::move(comm), host, std::move(members), group, std::move(groups));
}

}  // namespace

std::unique_ptr<Communicator> watch_collectives(std::unique_ptr<Communicator> comm) {
  Communicator* host = comm.get();
  return watched(std::move(comm), host, std::make_shared<int>(0));
}

std::unique_ptr<Communicator> watch_device_collectives(std::unique_ptr<Communicator> comm, Communicator& world) {
  constexpr int kFirstGroup = 1000;  // distinct from the numbers of host groups
  return watched(std::move(comm), &world, std::make_shared<int>(kFirstGroup));
}

std::string ranks_text(std::span<const std::int64_t> ranks) {
  std::string text;
  for (std::size_t i = 0; i < ranks.size();) {
    std::size_t last = i;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1) {
      ++last;
    }
    text += (text.empty() ? "" : ", ") + std::to_string(ranks[i]);
    text += last == i ? "" : "-" + std::to_string(ranks[last]);
    i = last + 1;
  }
  return text;
}

std::string named_ranks(std::span<const std::int64_t> ranks) {
  return (ranks.size() == 1 ? "rank " : "ranks ") + ranks_text(ranks);
}

}  // namespace lora_dist
