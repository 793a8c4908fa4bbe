#include "coordinator/http/page_routes.h"

#include <gtest/gtest.h>

#include "coordinator/jobs/testing.h"
#include "nlohmann/json.hpp"

namespace lockstep::page_routes_test {
namespace {

class PageRoutesTest : public ControllerTest {
 protected:
  void Put(const std::string& id, const v1::JobTime& time) {
    StoredJob stored;
    stored.job.set_id(id);
    stored.job.set_name(id);
    stored.job.set_namespace_("default");
    stored.job.set_state(v1::JOB_STATE_SUCCEEDED);
    stored.time = time;
    Batch batch;
    batch.jobs = {stored};
    ASSERT_TRUE(store_->Commit(batch).ok());
  }
  nlohmann::json Get(const std::string& path) {
    const Router router(
        {}, [](std::string_view, Role) { return Scope(); },
        PageRoutes({.controller = controller_.get(), .store = store_.get()}));
    HttpRequest request;
    request.method = "GET";
    request.path = path;
    request.headers = {{"host", "localhost"}};
    const HttpResponse answer = router.Handle(request);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return nlohmann::json::parse(answer.body, nullptr, false);
  }
};

TEST_F(PageRoutesTest, AJobsDeviceTimeIsToldByKindOverAllSpells) {
  v1::JobTime time;
  time.mutable_before()->set_recovery(1);
  time.mutable_before()->set_compute(2);
  for (v1::DeviceTime* device : {time.add_devices(), time.add_devices()}) {
    device->set_compute(2);
    device->set_communication(0.5);
    device->set_input(0.75);
    device->set_checkpoint(0.25);
    device->set_idle(8);
  }
  Put("a", time);
  const nlohmann::json told = Get("/api/jobs/a")["device_time"];
  const nlohmann::json seconds = {{"compute", 6.0},    {"communication", 1.0}, {"input", 1.5},
                                  {"checkpoint", 0.5}, {"recovery", 1.0},      {"idle", 16.0}};
  EXPECT_EQ(told["seconds"], seconds);
  EXPECT_EQ(told["goodput"], 0.7) << "idle time is none of the job's";
}

TEST_F(PageRoutesTest, AJobThatNeverRanHasNoGoodput) {
  Put("a", v1::JobTime());
  const nlohmann::json told = Get("/api/jobs/a")["device_time"];
  ASSERT_TRUE(told.contains("goodput"));
  EXPECT_TRUE(told["goodput"].is_null());
  EXPECT_EQ(told["seconds"]["compute"], 0.0);
}

}  // namespace
}  // namespace lockstep::page_routes_test
