SELECT 'a''b', E'\'', "c""d", `e`, [f g], $x$h$x$, q'[i]', N'j', 0x1F, 1.5e-3, :1, ?2, $3 -- k'
 FROM s."T" # l
 /* m /* n */ */ WHERE o IN (1, 'p', ?) AND q::int = r[1:2]
