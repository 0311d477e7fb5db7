/* In the WebAssembly builds for CPUs, in place of session_gpu.c and revive.c: sessions on a GPU, refused. */
#include "base/error.h"
#include "session/session.h"

static ingle_status refuse(ingle_error *err)
{
    return error_set(err, INGLE_ERR_DEVICE, "this build of ingle computes on the CPU only");
}

ingle_status session_open_gpu(ingle_session *s, ingle_error *err)
{
    (void)s;
    return refuse(err);
}

void session_close_gpu(ingle_session *s)
{
    (void)s;
}

bool session_lost(ingle_session *s, ingle_status status, const ingle_error *err)
{
    (void)s, (void)status, (void)err;
    return false;
}

bool session_take_less(uint32_t *n_batch)
{
    (void)n_batch;
    return false;
}

ingle_status session_revive(ingle_session *s, ingle_error *err)
{
    (void)s, (void)err;
    return INGLE_OK; // nothing is ever lost
}

ingle_status ingle_loader_use_gpu(ingle_loader *loader, const ingle_session_options *opt, ingle_error *err)
{
    (void)loader, (void)opt;
    return refuse(err);
}

ingle_status ingle_loader_revive(ingle_loader *loader, const ingle_model *model, const ingle_session_options *opt,
                                 ingle_error *err)
{
    (void)loader, (void)model, (void)opt;
    return refuse(err);
}
