-- Queries whose rows come in one order; {ra} and {dec} are the middle of the field.

SELECT TOP 5 ra, dec FROM average ORDER BY ra;

SELECT ra, dec FROM average ORDER BY dec DESC LIMIT 7;

SELECT ra FROM average ORDER BY dec LIMIT 4 OFFSET 3;

SELECT ra FROM average ORDER BY dec OFFSET 10;

SELECT mag, image_id, det_id FROM measure ORDER BY image_id, 1 DESC, det_id;

SELECT m_kron, det_id, image_id FROM measure ORDER BY m_kron DESC, image_id, det_id;

SELECT m_kron, det_id, image_id FROM measure ORDER BY m_kron NULLS FIRST, image_id, det_id LIMIT 9;

SELECT photcode AS p, COUNT(*) AS n FROM measure GROUP BY photcode ORDER BY n DESC, p LIMIT 1;

SELECT image_id, AVG(mag) AS m FROM measure GROUP BY image_id ORDER BY m;

SELECT image_id, AVG(mag) FROM measure GROUP BY image_id ORDER BY MAX(mag) - MIN(mag);

SELECT DISTINCT image_id FROM measure ORDER BY image_id DESC;

SELECT x FROM (SELECT TOP 3 mag AS x FROM measure ORDER BY mag, det_id, image_id) AS q ORDER BY x
  DESC;

SELECT ra AS r FROM average UNION ALL SELECT dec FROM average ORDER BY r LIMIT 6;

SELECT a.obj_id, COUNT(*) AS n FROM average a JOIN measure m USING (cat_id, obj_id) GROUP BY
  a.cat_id, a.obj_id ORDER BY n DESC, a.cat_id, a.obj_id LIMIT 5;

SELECT ra, DISTANCE(ra, dec, {ra}, {dec}) AS d FROM average ORDER BY d LIMIT 3;
