#include "server/commands/bench_json.h"

#include <nlohmann/json.hpp>

namespace quire::server {
namespace {

using nlohmann::ordered_json;

void add_spread(ordered_json& body, const std::string& name, const Spread& spread) {
  body["mean_" + name + "_ms"] = spread.mean;
  body["median_" + name + "_ms"] = spread.p50;
  body["std_" + name + "_ms"] = spread.deviation;
  body["p50_" + name + "_ms"] = spread.p50;
  body["p90_" + name + "_ms"] = spread.p90;
  body["p99_" + name + "_ms"] = spread.p99;
}

void add_requests(ordered_json& body, std::span<const BenchResult> requests) {
  for (const char* name :
       {"input_lens", "output_lens", "start_times", "ttfts", "itls", "e2els", "errors"}) {
    body[name] = ordered_json::array();
  }
  for (const BenchResult& request : requests) {
    body["input_lens"].push_back(request.prompt_tokens);
    body["output_lens"].push_back(request.completion_tokens);
    body["start_times"].push_back(request.start);
    body["ttfts"].push_back(request.first_text);
    body["itls"].push_back(request.gaps);
    body["e2els"].push_back(request.end);
    body["errors"].push_back(request.failure);
  }
}

ordered_json sweep_json(std::span<const SweepPoint> sweep) {
  ordered_json points = ordered_json::array();
  for (const SweepPoint& point : sweep) {
    points.push_back({{"request_rate", point.rate},
                      {"request_throughput", point.throughput},
                      {"output_throughput", point.output_throughput},
                      {"request_goodput", point.goodput},
                      {"p99_ttft_ms", point.p99_ttft},
                      {"p99_itl_ms", point.p99_itl},
                      {"failed", point.failed},
                      {"kept", point.kept}});
  }
  return points;
}

// A rate as vLLM writes it: a closed loop sends at once whatever may be sent.
ordered_json rate_json(const BenchReport& report) {
  if (report.request_rate > 0) return report.request_rate;
  return report.concurrency > 0 ? "inf" : "trace";
}

}  // namespace

std::string report_json(const BenchReport& report, std::span<const BenchResult> requests,
                        std::span<const SweepPoint> sweep) {
  const auto rate = [&](auto count) {
    return per_second(static_cast<double>(count), report.seconds);
  };
  ordered_json body{{"model_id", report.model},
                    {"dataset", report.dataset.empty() ? "random" : report.dataset},
                    {"num_prompts", report.ok + report.failed},
                    {"request_rate", rate_json(report)},
                    {"max_concurrency", nullptr},
                    {"exact_prompts", report.exact_prompts},
                    {"duration", report.seconds},
                    {"completed", report.ok},
                    {"failed", report.failed},
                    {"failures", report.failures},
                    {"total_input_tokens", report.input_tokens},
                    {"total_output_tokens", report.output_tokens},
                    {"request_throughput", rate(report.ok)},
                    {"request_goodput", nullptr},
                    {"output_throughput", rate(report.output_tokens)},
                    {"total_token_throughput", rate(report.input_tokens + report.output_tokens)},
                    {"max_output_tokens_per_s", report.most_tokens_per_second},
                    {"max_concurrent_requests", report.most_in_flight}};
  if (report.concurrency > 0) body["max_concurrency"] = report.concurrency;
  if (report.limits.any()) body["request_goodput"] = rate(report.good);
  add_spread(body, "ttft", report.ttft);
  add_spread(body, "tpot", report.tpot);
  add_spread(body, "itl", report.itl);
  add_spread(body, "e2el", report.e2el);
  if (report.concurrency == 0) add_spread(body, "send_lag", report.lag);
  if (!requests.empty()) add_requests(body, requests);
  if (!sweep.empty()) body["sweep"] = sweep_json(sweep);
  // A server's own words in a failure may be no UTF-8.
  return body.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace quire::server
