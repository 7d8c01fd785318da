-- Which of these orders' names a dispatch has.
select client_order_id from dispatches where client_order_id = any(%(names)s)
