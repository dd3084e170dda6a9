-- Queries whose rows may come in any order; {ra} and {dec} are the middle of the field.

SELECT ra, dec, mag FROM measure;

SELECT * FROM average;

SELECT * FROM photcode;

SELECT image_id, name, exptime FROM image;

SELECT ra AS alpha, dec AS delta FROM average;

SELECT ra, ra FROM average;

SELECT mag - 20, -dec, mag_err * 2, obj_id / 7, obj_id % 7 FROM measure;

SELECT (mag + 1) * 2 - 3 AS x FROM measure;

SELECT phot_flags & 16, phot_flags | 1, obj_id << 2 FROM measure;

SELECT ABS(dec), SQRT(mag), POWER(mag, 2), ROUND(mag, 1), FLOOR(mag), CEILING(mag) FROM measure;

SELECT LN(mag), LOG10(mag), EXP(mag_err), SIN(RADIANS(ra)), DEGREES(COS(dec)), PI() FROM measure;

SELECT COALESCE(m_kron, mag), NULLIF(obj_id, 3), GREATEST(mag, 18), LEAST(mag, 18) FROM measure;

SELECT CASE WHEN mag < 18 THEN 'bright' WHEN mag < 20 THEN 'middle' ELSE 'faint' END FROM measure;

SELECT CASE photcode WHEN 3 THEN 'g' ELSE 'other' END AS band FROM measure;

SELECT CAST(mag AS INTEGER), CAST(obj_id AS DOUBLE PRECISION), CAST(obj_id AS VARCHAR) FROM
  measure;

SELECT 1 AS one, 'text' AS word, NULL AS nothing FROM average;

SELECT UPPER(name), LOWER(name), LENGTH(name), name || '!' FROM image;

SELECT 1 AS x, 2.5 AS y;

SELECT obj_id FROM measure WHERE mag < 18;

SELECT obj_id FROM measure WHERE mag >= 18 AND mag_err < 0.5 AND photcode = 3;

SELECT obj_id FROM measure WHERE mag < 17 OR mag > 20;

SELECT obj_id FROM measure WHERE NOT (mag < 17 OR mag > 20);

SELECT obj_id FROM measure WHERE mag BETWEEN 17 AND 19;

SELECT obj_id FROM measure WHERE mag NOT BETWEEN 17 AND 19;

SELECT obj_id FROM measure WHERE image_id IN (1, 3);

SELECT obj_id FROM measure WHERE image_id NOT IN (1, 3);

SELECT obj_id FROM measure WHERE m_kron IS NULL;

SELECT obj_id FROM measure WHERE m_kron IS NOT NULL AND m_kron > 18;

SELECT obj_id FROM measure WHERE m_kron > 18 OR m_kron <= 18;

SELECT obj_id FROM measure WHERE NOT m_kron > 18;

SELECT image_id FROM image WHERE name LIKE 'exp%1';

SELECT image_id FROM image WHERE name ILIKE 'EXP%' AND name NOT LIKE '%2';

SELECT obj_id FROM measure WHERE (phot_flags & 1) = 0 AND obj_id % 2 = 1;

SELECT obj_id FROM measure WHERE mag > 99;

SELECT obj_id FROM measure WHERE 1 = 0;

SELECT ra, dec FROM average WHERE CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, 0.08)) = 1;

SELECT ra, dec FROM average WHERE 1 = CONTAINS(POINT('ICRS', ra, dec), CIRCLE('ICRS', {ra}, {dec},
  0.05));

SELECT ra FROM measure WHERE CONTAINS(POINT(ra, dec), CIRCLE(POINT({ra}, {dec}), 0.05)) = 1 AND
  mag < 19;

SELECT ra, dec FROM average WHERE CONTAINS(POINT(ra, dec), BOX({ra}, {dec}, 0.2, 0.1)) = 1;

SELECT ra, dec FROM average WHERE CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, 0.05)) = 0;

SELECT ra FROM average WHERE CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, 0.08)) = 1 OR nmeasure >
  3;

SELECT ra FROM average WHERE NOT (CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, 0.08)) = 1);

SELECT ra FROM average WHERE CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, 0.08)) = 1 AND
  CONTAINS(POINT(ra, dec), BOX({ra}, {dec}, 0.1, 0.1)) = 1;

SELECT CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, 0.05)) AS inside FROM average;

SELECT ra FROM average WHERE DISTANCE(POINT(ra, dec), POINT({ra}, {dec})) < 0.06;

SELECT ra FROM average WHERE DISTANCE(ra, dec, {ra}, {dec}) <= 0.06 AND nmeasure > 1;

SELECT DISTANCE(POINT(ra, dec), POINT({ra}, {dec})) AS d FROM average;

SELECT COORD1(POINT(ra, dec)), COORD2(POINT(ra, dec)) FROM average;

SELECT image_id FROM image WHERE CONTAINS(POINT(ra_center, dec_center), CIRCLE({ra}, {dec}, 1)) =
  1;

SELECT image_id FROM image WHERE INTERSECTS(CIRCLE(ra_center, dec_center, radius), CIRCLE({ra},
  {dec}, 0.01)) = 1;

SELECT COUNT(*) FROM measure;

SELECT COUNT(*) FROM measure WHERE mag > 99;

SELECT COUNT(m_kron), COUNT(mag), MIN(mag), MAX(mag), AVG(mag), SUM(mag) FROM measure;

SELECT SUM(obj_id), AVG(m_kron), MIN(m_kron) FROM measure WHERE mag > 99;

SELECT STDDEV(mag), STDDEV_POP(mag), VARIANCE(mag), VAR_POP(mag) FROM measure;

SELECT photcode, COUNT(*) FROM measure GROUP BY photcode;

SELECT photcode, image_id, AVG(mag) AS m FROM measure GROUP BY photcode, image_id;

SELECT photcode, STDDEV_SAMP(m_kron) AS s, COUNT(m_kron) AS n FROM measure GROUP BY photcode;

SELECT ROUND(mag) AS bin, COUNT(*) AS n FROM measure GROUP BY ROUND(mag);

SELECT ROUND(mag) AS bin, COUNT(*) AS n FROM measure GROUP BY 1;

SELECT ROUND(mag) AS bin, COUNT(*) AS n FROM measure GROUP BY bin;

SELECT cat_id, obj_id, COUNT(*) AS n FROM measure GROUP BY cat_id, obj_id HAVING COUNT(*) > 2;

SELECT photcode, MAX(mag) - MIN(mag) AS width FROM measure GROUP BY photcode HAVING AVG(mag) > 1;

SELECT DISTINCT photcode FROM measure;

SELECT DISTINCT photcode, image_id FROM measure WHERE mag < 19;

SELECT COUNT(DISTINCT image_id) AS k, COUNT(*) AS n FROM measure;

SELECT photcode, MEDIAN(mag), COUNT(DISTINCT obj_id) FROM measure GROUP BY photcode;

SELECT COUNT(*) FILTER (WHERE mag < 18) AS bright FROM measure;

SELECT COUNT(*), AVG(mag) FROM measure WHERE CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, 0.08)) =
  1;

SELECT a.ra, m.mag FROM average a JOIN measure m USING (cat_id, obj_id);

SELECT a.ra, m.mag FROM average AS a JOIN measure AS m ON a.cat_id = m.cat_id AND a.obj_id =
  m.obj_id WHERE m.mag < 18;

SELECT a.ra, m.mag FROM average a, measure m WHERE a.cat_id = m.cat_id AND a.obj_id = m.obj_id AND
  a.nmeasure > 2;

SELECT a.obj_id, m.mag FROM average a LEFT JOIN measure m ON a.cat_id = m.cat_id AND a.obj_id =
  m.obj_id AND m.mag < 17;

SELECT a.obj_id FROM average a LEFT JOIN measure m ON a.cat_id = m.cat_id AND a.obj_id = m.obj_id
  AND m.mag < 17 WHERE m.mag IS NULL;

SELECT m.mag, i.name FROM measure m JOIN image i ON m.image_id = i.image_id WHERE m.mag < 18;

SELECT i.name, COUNT(*) AS n, AVG(m.mag) FROM measure m JOIN image i USING (image_id) GROUP BY
  i.name;

SELECT i.name, m.mag FROM image i LEFT JOIN measure m ON i.image_id = m.image_id AND m.mag < 16;

SELECT p.name, COUNT(*) AS n FROM measure m JOIN photcode p ON m.photcode = p.code GROUP BY p.name;

SELECT s.filter, a.ra, s.mag FROM average a JOIN secfilt s USING (cat_id, obj_id) WHERE s.filter =
  'g';

SELECT m1.mag - m2.mag AS d FROM measure m1 JOIN measure m2 USING (cat_id, obj_id) WHERE
  m1.image_id = 1 AND m2.image_id = 2;

SELECT m1.obj_id FROM measure m1 JOIN measure m2 ON m1.det_id = m2.det_id AND m1.image_id = 1 AND
  m2.image_id = 2;

SELECT COUNT(*) FROM average a CROSS JOIN photcode p;

SELECT a.ra, m.mag FROM average a JOIN measure m USING (cat_id, obj_id) WHERE CONTAINS(POINT(a.ra,
  a.dec), CIRCLE({ra}, {dec}, 0.08)) = 1;

SELECT a.ra, m.mag FROM average a LEFT JOIN measure m USING (cat_id, obj_id) WHERE
  CONTAINS(POINT(m.ra, m.dec), CIRCLE({ra}, {dec}, 0.08)) = 1;

SELECT n, COUNT(*) FROM (SELECT obj_id, cat_id, COUNT(*) AS n FROM measure GROUP BY cat_id,
  obj_id) AS q GROUP BY n;

WITH bright AS (SELECT cat_id, obj_id FROM average WHERE nmeasure > 2) SELECT m.mag FROM measure m
  JOIN bright b USING (cat_id, obj_id);

SELECT obj_id FROM average WHERE nmeasure = (SELECT MAX(nmeasure) FROM average);

SELECT mag FROM measure WHERE image_id IN (SELECT image_id FROM image WHERE name LIKE '%1');

SELECT ra FROM average a WHERE EXISTS (SELECT 1 FROM measure m WHERE m.cat_id = a.cat_id AND
  m.obj_id = a.obj_id AND m.mag < 17);

SELECT ra FROM average a WHERE NOT EXISTS (SELECT 1 FROM measure m WHERE m.cat_id = a.cat_id AND
  m.obj_id = a.obj_id AND m.mag < 19);

SELECT a.obj_id, (SELECT AVG(m.mag) FROM measure m WHERE m.cat_id = a.cat_id AND m.obj_id =
  a.obj_id) AS mean FROM average a;

SELECT ra FROM average UNION ALL SELECT ra FROM measure WHERE mag < 17;

SELECT photcode FROM measure UNION SELECT code FROM photcode;

SELECT code FROM photcode EXCEPT SELECT photcode FROM measure;

SELECT photcode FROM measure INTERSECT SELECT code FROM photcode;

SELECT u.id, a.obj_id FROM upload.places u JOIN average a ON DISTANCE(POINT(u.ra, u.dec),
  POINT(a.ra, a.dec)) < 0.02;

SELECT u.id, COUNT(a.obj_id) AS n FROM upload.places u LEFT JOIN average a ON DISTANCE(u.ra,
  u.dec, a.ra, a.dec) < 0.02 GROUP BY u.id;

SELECT u.id, a.ra FROM upload.places u, average a WHERE q3c_join(u.ra, u.dec, a.ra, a.dec, 0.02);

SELECT ra FROM average WHERE q3c_radial_query(ra, dec, {ra}, {dec}, 0.05);

SELECT obj_id, RANK() OVER (PARTITION BY photcode ORDER BY mag, det_id, image_id) AS r FROM
  measure;

SELECT image_id, STDDEV(mag + 100000), VAR_POP(mag + 10000 * photcode) FROM measure GROUP BY image_id;

SELECT STDDEV(mag + 100000) FROM measure;

SELECT DISTINCT image_id, 7, -9 FROM measure;

SELECT 5 AS x, COUNT(*) FROM measure GROUP BY x;

SELECT 5 AS x, image_id, MEDIAN(mag) FROM measure GROUP BY x, image_id;

SELECT DISTANCE(q.ra, q.dec, {ra}, {dec}) FROM (SELECT ra, dec FROM average WHERE obj_id > 2) AS q;

WITH q AS (SELECT ra, dec FROM average) SELECT ra FROM q WHERE
  CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, 0.1)) = 1;

WITH q AS (SELECT ra, dec FROM average) SELECT a.ra, q.ra FROM q JOIN average AS a ON
  DISTANCE(a.ra, a.dec, q.ra, q.dec) < 0.01;

SELECT q.ra FROM average AS a JOIN (SELECT ra, dec FROM average) AS q ON a.ra = q.ra WHERE
  CONTAINS(POINT(q.ra, q.dec), CIRCLE({ra}, {dec}, 0.1)) = 1;

SELECT DISTANCE(1, 2, 3, 4) AS d, COORD1(POINT(7, 8)) AS c;

SELECT "RA", "Dec" FROM "Measure" WHERE "MAG" > 18;

SELECT q."X" FROM (SELECT "RA" AS "X" FROM average) AS q;
SELECT a.obj_id, a.cat_id FROM average a LEFT JOIN secfilt b
  ON a.cat_id = b.cat_id AND a.obj_id = b.obj_id AND b.mag IS NULL WHERE b.obj_id IS NULL;

SELECT QUANTILE_CONT(mag, 0.9), QUANTILE_DISC(mag, 0.25) FROM measure;

SELECT photcode, QUANTILE_CONT(m_kron, 0.5) AS middle FROM measure GROUP BY photcode HAVING COUNT(*) > 3;

SELECT obj_id, cat_id, QUANTILE_DISC(mag, 0.5) OVER (PARTITION BY photcode) FROM measure;
