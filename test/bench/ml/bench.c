/*-------------------------------------------------------------------------
 * bench.c
 *		Times the learning library on a dataset from a file.
 *
 * usage: bench TYPE TRAIN TEST [parameter=value ...]
 *		  bench shap MODEL.json TEST OUT
 *
 * A file holds int64 rows, int64 features, the features column by column as
 * float32, then the target as float64, all in the machine's byte order.
 * Prints: CPU seconds of the fit, R2 on TEST, microseconds per single
 * prediction, bytes of the encoded model, estimated peak bytes of the fit, and
 * measured ones: VmHWM when it ends less VmRSS when it begins, so the dataset
 * itself does not count.
 *
 * shap explains rows of TEST by a model that XGBoost wrote.  Prints: CPU
 * microseconds per row and the largest gap between sum and prediction; writes
 * to OUT the contributions of each row and the expected value, as float64.
 *-------------------------------------------------------------------------
 */
#include "ml/ml.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ml/explain.h"
#include "ml/xgboost.h"

#define SHAP_ROWS		2000	/* explained */
#define SHAP_TURNS		5		/* the fastest counts */
#define PREDICT_SECONDS 0.3		/* CPU time spent on measuring predictions */

typedef struct File
{
	MlDataset	data;
	float	   *values;
	double	   *target;
	const float **columns;
} File;

static void *
heap_alloc(void *state, size_t size)
{
	(void) state;
	return malloc(size);
}

static void
heap_free(void *state, void *ptr)
{
	(void) state;
	free(ptr);
}

static const MlAllocator heap = {heap_alloc, heap_free, NULL};

static void
die(const char *what, const MlError *error)
{
	fprintf(stderr, "bench: %s%s%s\n", what, error ? ": " : "", error ? error->message : "");
	exit(1);
}

static void
read_file(const char *path, File *file)
{
	int64_t		shape[2];
	FILE	   *in = fopen(path, "rb");
	size_t		cells;

	if (in == NULL || fread(shape, sizeof(shape), 1, in) != 1)
		die(path, NULL);
	cells = (size_t) (shape[0] * shape[1]);
	file->values = malloc(cells * sizeof(float));
	file->target = malloc((size_t) shape[0] * sizeof(double));
	file->columns = malloc((size_t) shape[1] * sizeof(float *));
	if (fread(file->values, sizeof(float), cells, in) != cells ||
		fread(file->target, sizeof(double), (size_t) shape[0], in) != (size_t) shape[0])
		die(path, NULL);
	fclose(in);
	for (int64_t f = 0; f < shape[1]; f++)
		file->columns[f] = file->values + f * shape[0];
	file->data = (MlDataset) {
		.nrows = shape[0], .nfeatures = (int32_t) shape[1], .columns = file->columns, .target = file->target
	};
}

static void
free_file(File *file)
{
	free(file->values);
	free(file->target);
	free(file->columns);
}

static double
cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double) ts.tv_sec + (double) ts.tv_nsec * 1e-9;
}

/*
 * Bytes behind a name of /proc/self/status.
 */
static double
memory_of(const char *name)
{
	FILE	   *in = fopen("/proc/self/status", "r");
	char		line[256];
	double		kb = 0.0;

	while (in != NULL && fgets(line, sizeof(line), in) != NULL)
	{
		if (strncmp(line, name, strlen(name)) == 0)
			kb = atof(line + strlen(name));
	}
	if (in != NULL)
		fclose(in);
	return kb * 1024.0;
}

static double
held_out_r2(const MlModel *model, const File *test)
{
	double	   *p = malloc((size_t) test->data.nrows * sizeof(double));
	MlMetrics	metrics;
	MlError		error;

	pgaml_ml_predict_columns(model, test->columns, test->data.nrows, p);
	if (pgaml_ml_metrics(test->target, p, NULL, test->data.nrows, &heap, &metrics, &error) != ML_OK)
		die("metrics", &error);
	free(p);
	return metrics.r2;
}

/*
 * Rows of TEST one after the other.
 */
static float *
gather_rows(const File *test, int64_t nrows)
{
	int32_t		nfeatures = test->data.nfeatures;
	float	   *rows = malloc((size_t) (nrows * nfeatures) * sizeof(float));

	for (int64_t i = 0; i < nrows; i++)
		for (int32_t f = 0; f < nfeatures; f++)
			rows[i * nfeatures + f] = test->columns[f][i];
	return rows;
}

/*
 * Mean time of one prediction, over rows that lie ready as they would for a
 * caller who has just built one.
 */
static double
predict_us(const MlModel *model, const File *test)
{
	int32_t		nfeatures = test->data.nfeatures;
	int64_t		nrows = test->data.nrows < 1000 ? test->data.nrows : 1000;
	float	   *rows = gather_rows(test, nrows);
	volatile double sink = 0.0;
	double		start;
	int64_t		done = 0;

	start = cpu_seconds();
	while (cpu_seconds() - start < PREDICT_SECONDS)
	{
		for (int64_t i = 0; i < nrows; i++)
			sink += pgaml_ml_predict(model, rows + i * nfeatures);
		done += nrows;
	}
	free(rows);
	return (cpu_seconds() - start) * 1e6 / (double) done;
}

static MlModel *
read_xgboost(const char *path)
{
	FILE	   *in = fopen(path, "rb");
	uint8_t    *bytes;
	long		length;
	MlModel    *model;
	MlError		error;

	if (in == NULL || fseek(in, 0, SEEK_END) != 0 || (length = ftell(in)) < 0)
		die(path, NULL);
	rewind(in);
	bytes = malloc((size_t) length);
	if (fread(bytes, 1, (size_t) length, in) != (size_t) length)
		die(path, NULL);
	fclose(in);
	if (pgaml_ml_xgboost_read(bytes, (size_t) length, NULL, 0, NULL, 0, &heap, NULL, &model, &error) != ML_OK)
		die(path, &error);
	free(bytes);
	return model;
}

static void
bench_shap(const MlModel *model, const File *test, const char *path)
{
	int32_t		nfeatures = test->data.nfeatures;
	int64_t		nrows = test->data.nrows < SHAP_ROWS ? test->data.nrows : SHAP_ROWS;
	float	   *rows = gather_rows(test, nrows);
	double	   *phi = malloc((size_t) (nrows * nfeatures) * sizeof(double));
	double		fastest = INFINITY;
	double		gap = 0.0;
	double		expected = NAN;
	FILE	   *out = fopen(path, "wb");
	MlError		error;

	for (int turn = 0; turn < SHAP_TURNS; turn++)
	{
		double		start = cpu_seconds();

		if (pgaml_ml_explain(model, rows, nrows, &heap, NULL, &expected, phi, &error) != ML_OK)
			die("explain", &error);
		fastest = fmin(fastest, cpu_seconds() - start);
	}
	if (out == NULL)
		die(path, NULL);
	for (int64_t i = 0; i < nrows; i++)
	{
		double		sum = expected;

		for (int32_t f = 0; f < nfeatures; f++)
			sum += phi[i * nfeatures + f];
		gap = fmax(gap, fabs(sum - pgaml_ml_predict(model, rows + i * nfeatures)));
		if (fwrite(phi + i * nfeatures, sizeof(double), (size_t) nfeatures, out) != (size_t) nfeatures ||
			fwrite(&expected, sizeof(double), 1, out) != 1)
			die(path, NULL);
	}
	fclose(out);
	printf("%.4f %.3g\n", fastest * 1e6 / (double) nrows, gap);
	free(rows);
	free(phi);
}

static int
main_shap(char **argv)
{
	MlModel    *model = read_xgboost(argv[2]);
	File		test;

	read_file(argv[3], &test);
	if (pgaml_ml_model_features(model) != test.data.nfeatures)
		die("the model has other features than TEST", NULL);
	bench_shap(model, &test, argv[4]);
	pgaml_ml_model_free(model);
	free_file(&test);
	return 0;
}

int
main(int argc, char **argv)
{
	File		train;
	File		test;
	MlParams	params;
	MlModelType type;
	MlModel    *model;
	MlError		error;
	uint8_t    *bytes;
	size_t		length;
	double		start;
	double		fit;
	double		memory;

	if (argc == 5 && strcmp(argv[1], "shap") == 0)
		return main_shap(argv);
	if (argc < 4 || !pgaml_ml_type_from_name(argv[1], &type))
		die("usage: bench TYPE TRAIN TEST [parameter=value ...]", NULL);
	read_file(argv[2], &train);
	read_file(argv[3], &test);
	pgaml_ml_params_default(type, &params);
	for (int i = 4; i < argc; i++)
	{
		char	   *equals = strchr(argv[i], '=');

		if (equals == NULL)
			die(argv[i], NULL);
		*equals = '\0';
		if (pgaml_ml_params_set(&params, argv[i], atof(equals + 1), &error) != ML_OK)
			die(argv[i], &error);
	}

	memory = memory_of("VmRSS:");
	start = cpu_seconds();
	if (pgaml_ml_train(&train.data, &params, &heap, NULL, &model, &error) != ML_OK)
		die("train", &error);
	fit = cpu_seconds() - start;
	memory = memory_of("VmHWM:") - memory;
	if (pgaml_ml_model_encode(model, &heap, &bytes, &length, &error) != ML_OK)
		die("encode", &error);
	printf("%.6f %.6f %.4f %zu %zu %.0f\n", fit, held_out_r2(model, &test), predict_us(model, &test), length,
		   pgaml_ml_train_memory(&params, train.data.nrows, train.data.nfeatures), memory);
	free(bytes);
	pgaml_ml_model_free(model);
	free_file(&train);
	free_file(&test);
	return 0;
}
