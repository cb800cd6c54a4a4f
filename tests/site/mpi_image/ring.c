/* A small MPI program that shows where it runs: a sum over all ranks, and a token around them.
 *
 *   ring INTERVALS        pi by that many intervals; the result does not depend on the number of ranks
 *   ring fail RANK CODE   this rank gives up with CODE; the others wait for what never comes
 *   ring wait             every rank waits, until it is killed
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void tell(int rank, int ranks)
{
    char host[MPI_MAX_PROCESSOR_NAME];
    const char *node = getenv("PROMINENCE_NODE_NUM"), *threads = getenv("OMP_NUM_THREADS");
    int length;
    MPI_Get_processor_name(host, &length);
    printf("rank %d of %d on %s node %s threads %s\n", rank, ranks, host, node ? node : "-",
           threads ? threads : "-");
    fflush(stdout);
}

static void pass_token(int rank, int ranks)
{
    int token = rank, from = (rank + ranks - 1) % ranks, to = (rank + 1) % ranks;
    for (int hop = 0; hop < ranks; hop++)
        MPI_Sendrecv_replace(&token, 1, MPI_INT, to, 0, from, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    if (token != rank) {
        fprintf(stderr, "rank %d: its token came back as %d\n", rank, token);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

/* A sum of whole numbers, so that no order of additions changes the result. */
static void sum_pi(long intervals, int rank, int ranks)
{
    long long mine = 0, all = 0;
    for (long i = rank; i < intervals; i += ranks) {
        double x = (i + 0.5) / intervals;
        mine += (long long)(4e12 / (1.0 + x * x) / intervals * 1e3);
    }
    MPI_Reduce(&mine, &all, 1, MPI_LONG_LONG, MPI_SUM, 0, MPI_COMM_WORLD);
    if (rank == 0)
        printf("pi %.7f\n", all / 1e15);
}

int main(int count, char **words)
{
    int rank, ranks;
    MPI_Init(&count, &words);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    tell(rank, ranks);
    MPI_Barrier(MPI_COMM_WORLD);
    if (count > 3 && strcmp(words[1], "fail") == 0 && rank == atoi(words[2]))
        MPI_Abort(MPI_COMM_WORLD, atoi(words[3]));
    if (count > 1 && (strcmp(words[1], "fail") == 0 || strcmp(words[1], "wait") == 0))
        for (;;)
            sleep(1000);
    pass_token(rank, ranks);
    sum_pi(count > 1 ? atol(words[1]) : 1000000, rank, ranks);
    MPI_Finalize();
    return 0;
}
