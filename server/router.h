#pragma once
// The routes: a table of method, path, who may call, and the handler. Default-deny: what is not in
// the table is 404, and a row cannot be written without saying who may call it.
//
// Constant data; any thread. A handler answers at once through the writer, or returns a Job that
// answers over time.

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "engine/token_stream.h"
#include "server/http.h"
#include "server/key_places.h"
#include "server/request_record.h"
#include "server/response_writer.h"
#include "server/service.h"

namespace quire::server {

// An answer that takes time. Owned by the connection; destroying it cancels the request, in any
// state. Everything happens on the connection's I/O thread.
class Job {
 public:
  virtual ~Job() = default;
  // Puts what can be said now into the writer, about max_output bytes at most. Called after every
  // wake and whenever the output was sent. The job is done when the writer has ended.
  virtual void advance(ResponseWriter& writer, std::size_t max_output) = 0;
  // Adds what the job knows of its request; called once, when it is over.
  virtual void describe(RequestRecord& record) const = 0;
};

// What a handler gets.
struct Exchange {
  Service& service;
  HttpRequest& request;
  ResponseWriter& writer;
  // on_ready() has the job advanced; outlives the job.
  engine::StreamListener& waker;
};

// Null: the writer has the answer.
using Handler = std::unique_ptr<Job> (*)(Exchange exchange);

enum class Access : std::uint8_t { kOpen, kKey, kAdmin };

struct Route {
  std::string_view method;
  std::string_view path;  // ends with "{id}": the rest of the path is the argument
  Access access;
  Handler handle;
};

[[nodiscard]] std::span<const Route> routes();
// Of the listener for scrapers: nothing there asks for a key.
[[nodiscard]] std::span<const Route> metrics_routes();

struct Match {
  KeyPlaces::Place place;        // the key's, while its request is under way
  const Route* route = nullptr;  // null: nothing
  std::string allow;             // with no route: the methods that the path has
  std::string path_arg;          // decoded
};
// HEAD is answered by GET's route.
[[nodiscard]] Match find_route(std::span<const Route> table, std::string_view method,
                               std::string_view path);

}  // namespace quire::server
