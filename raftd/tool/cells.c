/* cells.c: see cells.h. */
#include "raftd/tool/cells.h"

#include <stdio.h>

void cell_put(char to[CELL_BYTES], const char *text)
{
    (void)snprintf(to, CELL_BYTES, "%s", text);
}

void cell_put_if(char to[CELL_BYTES], bool known, struct human h)
{
    cell_put(to, known ? h.text : "-");
}

void cell_lag(char to[CELL_BYTES], const struct status *s, const struct status_member *m)
{
    cell_put_if(to, s->members_led != 0 && !m->leads, human_count(m->lag));
}

void cell_heard(char to[CELL_BYTES], const struct status *s, const struct status_member *m)
{
    cell_put_if(to, m->heard_us != 0 && m->session < STATUS_SESSIONS,
                human_us(status_ago_us(s->now_us, m->heard_us)));
}

void cell_rtt(char to[CELL_BYTES], const struct status *s, const struct status_member *m)
{
    (void)s;
    cell_put_if(to, m->rtt_us != 0, human_us(m->rtt_us));
}

static void percent(char text[8], int32_t permille)
{
    if (permille < 0 || permille > 1000)
        (void)snprintf(text, 8, "?");
    else
        (void)snprintf(text, 8, "%d", (permille + 9) / 10);
}

void cell_loss(char to[CELL_BYTES], const struct status *s, const struct status_member *m)
{
    char in[8], out[8];
    (void)s;
    percent(in, m->loss_in_permille);
    percent(out, m->loss_out_permille);
    if (m->session >= STATUS_SESSIONS || (*in == '?' && *out == '?'))
        cell_put(to, "-");
    else
        (void)snprintf(to, CELL_BYTES, "%s/%s", in, out);
}

void cell_disk(char to[CELL_BYTES], const struct status *s, const struct status_member *m)
{
    (void)s;
    cell_put_if(to, m->fsync_p99_us != 0, human_us(m->fsync_p99_us));
}

void cell_log(char to[CELL_BYTES], const struct status *s, const struct status_member *m)
{
    (void)s;
    cell_put_if(to, m->told_us != 0, human_bytes(m->log_bytes));
}

void cell_keys(char to[CELL_BYTES], const struct status *s, const struct status_member *m)
{
    (void)s;
    cell_put_if(to, m->told_us != 0, human_count(m->keys));
}

void cell_up(char to[CELL_BYTES], const struct status *s, const struct status_member *m)
{
    (void)s;
    cell_put_if(to, m->told_us != 0, human_age_s(m->uptime_s));
}

void cell_version(char to[CELL_BYTES], const struct status *s, const struct status_member *m)
{
    (void)s;
    cell_put(to, "-");
    if (m->version != 0)
        (void)snprintf(to, CELL_BYTES, "%u.%u.%u", m->version >> 16, m->version >> 8 & 255,
                       m->version & 255);
}
