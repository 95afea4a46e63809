/*-------------------------------------------------------------------------
 * normal.c
 *		Quantile of the standard normal distribution.
 *-------------------------------------------------------------------------
 */
#include "ml/stages.h"

#include <math.h>

/* Wichura (1988), Algorithm AS 241, PPND7: about 7 correct digits. */
static double
tail(double r)
{
	if (r <= 5.0)
	{
		r -= 1.6;
		return (((1.7023821103e-1 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777) /
			((1.2021132975e-1 * r + 7.3700164250e-1) * r + 1.0);
	}
	r -= 5.0;
	return (((1.7337203997e-2 * r + 4.2868294337e-1) * r + 3.0812263860) * r + 6.6579051150) /
		((1.2258202635e-2 * r + 2.4197894225e-1) * r + 1.0);
}

double
pgaml_ml_normal_quantile(double p)
{
	double		q = p - 0.5;
	double		r;
	double		x;

	if (!(p > 0.0 && p < 1.0))
		return NAN;
	if (fabs(q) <= 0.425)
	{
		r = 0.180625 - q * q;
		return q * (((5.9109374720e1 * r + 1.5929113202e2) * r + 5.0434271938e1) * r + 3.3871327179) /
			(((6.7187563600e1 * r + 7.8757757664e1) * r + 1.7895169469e1) * r + 1.0);
	}
	r = sqrt(-log(q < 0.0 ? p : 1.0 - p));
	x = tail(r);
	return q < 0.0 ? -x : x;
}
